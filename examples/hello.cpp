// The shortest complete program: every rank contributes its number, and every rank gets the sum.
//
//   mpirun -np 4 hello
#include <tutti/communicator.h>

#include <cstdio>
#include <exception>
#include <span>
#include <vector>

int main() try {
  auto comm = tutti::Communicator::from_environment().value_or_throw();

  std::vector<float> values(1000, static_cast<float>(comm.rank()));
  comm.all_reduce(std::span(values)).value_or_throw();

  const auto expected = static_cast<float>(comm.size()) * static_cast<float>(comm.size() - 1) / 2;
  std::printf("rank %d of %d: the sum is %g\n", comm.rank(), comm.size(), values.front());
  return values.front() == expected && values.back() == expected ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hello: %s\n", error.what());
  return 1;
}
