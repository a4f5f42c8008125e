// Data-parallel training: every rank holds the same small network, computes gradients on its share of each batch, and adds them
// up over all ranks with one all_reduce. The network learns which of two interleaved spirals a point lies on.
//
//   mpirun -np 4 train --compare
//
// Checked at the end, on every rank; the exit status says whether all of it holds:
//   the loss has fallen; the replicas are equal, bit by bit; with --compare, they are as far from a training on one rank that
//   sees the whole batch as the order of float additions explains.
#include <tutti/communicator.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <span>
#include <vector>

namespace {

struct Settings {
  int steps = 300;
  int batch = 256;
  std::uint32_t seed = 1;
  int print_every = 50;
  bool compare = false;
};

// Additions in another order change the last bits of a gradient, and training carries the difference on. Over the default
// number of steps it stays far below this; a wrong or missing contribution is far above.
constexpr float kTolerance = 1e-4F;
constexpr float kLearningRate = 0.2F;
constexpr float kMomentum = 0.9F;

struct Point {
  std::array<float, 2> at;
  float label;  // 0 or 1: which spiral
};

// The same points on every rank and machine: the standard fixes mt19937's numbers, but not those of its distributions.
class Spirals {
 public:
  explicit Spirals(std::uint32_t seed) : random_(seed) {}

  Point next() {
    const float label = random_() & 1U ? 1.0F : 0.0F;
    const float way = std::sqrt(uniform());
    const float angle = 6.0F * way + 3.14159265F * label;
    return {{way * std::cos(angle) + noise(), way * std::sin(angle) + noise()}, label};
  }

 private:
  float uniform() { return static_cast<float>(random_() >> 8U) / 16777216.0F; }
  float noise() { return 0.05F * (uniform() - 0.5F); }
  std::mt19937 random_;
};

// A fully connected layer of a larger parameter vector: weights[input][output], then one bias per output.
struct Layer {
  std::size_t inputs, outputs, begin;
  [[nodiscard]] constexpr std::size_t size() const { return (inputs + 1) * outputs; }
  [[nodiscard]] constexpr std::size_t bias() const { return begin + inputs * outputs; }

  void forward(const float* parameters, const float* in, float* out) const {
    std::copy_n(parameters + bias(), outputs, out);
    for (std::size_t i = 0; i < inputs; ++i)
      for (std::size_t o = 0; o < outputs; ++o) out[o] += in[i] * parameters[begin + i * outputs + o];
  }
  // Adds to the gradient what the error of the outputs says; gives the error of the inputs.
  void backward(const float* parameters, const float* in, const float* out_error, float* in_error, float* gradient) const {
    for (std::size_t o = 0; o < outputs; ++o) gradient[bias() + o] += out_error[o];
    for (std::size_t i = 0; i < inputs; ++i) {
      float sum = 0;
      for (std::size_t o = 0; o < outputs; ++o) {
        gradient[begin + i * outputs + o] += in[i] * out_error[o];
        sum += parameters[begin + i * outputs + o] * out_error[o];
      }
      in_error[i] = sum;
    }
  }
};

constexpr std::size_t kHidden = 64;
constexpr Layer kFirst{2, kHidden, 0};
constexpr Layer kSecond{kHidden, kHidden, kFirst.size()};
constexpr Layer kLast{kHidden, 1, kFirst.size() + kSecond.size()};
constexpr std::size_t kParameters = kFirst.size() + kSecond.size() + kLast.size();

std::vector<float> initial_parameters(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> parameters(kParameters, 0.0F);
  for (const Layer& layer : {kFirst, kSecond, kLast}) {
    const float range = std::sqrt(3.0F / static_cast<float>(layer.inputs));
    for (std::size_t i = layer.begin; i < layer.bias(); ++i)
      parameters[i] = range * (static_cast<float>(random() >> 8U) / 8388608.0F - 1.0F);
  }
  return parameters;
}

void tanh_all(std::span<float> values) {
  for (float& v : values) v = std::tanh(v);
}
void through_tanh(std::span<const float> values, std::span<float> errors) {
  for (std::size_t i = 0; i < values.size(); ++i) errors[i] *= 1.0F - values[i] * values[i];
}

// Adds one point's gradient, weighted, and returns its cross-entropy.
float learn(const std::vector<float>& parameters, const Point& point, float weight, float* gradient) {
  std::array<float, kHidden> first{}, second{}, first_error{}, second_error{};
  std::array<float, 2> ignored{};
  float logit = 0;
  const float* p = parameters.data();
  kFirst.forward(p, point.at.data(), first.data());
  tanh_all(first);
  kSecond.forward(p, first.data(), second.data());
  tanh_all(second);
  kLast.forward(p, second.data(), &logit);

  const float error = weight * (1.0F / (1.0F + std::exp(-logit)) - point.label);
  kLast.backward(p, second.data(), &error, second_error.data(), gradient);
  through_tanh(second, second_error);
  kSecond.backward(p, first.data(), second_error.data(), first_error.data(), gradient);
  through_tanh(first, first_error);
  kFirst.backward(p, point.at.data(), first_error.data(), ignored.data(), gradient);
  return std::max(logit, 0.0F) - logit * point.label + std::log1p(std::exp(-std::abs(logit)));
}

struct Trained {
  std::vector<float> parameters;
  float first_loss = 0, last_loss = 0;
};

// `exchange` adds up the gradient (and, in its last element, the loss) over the ranks that share the batch.
template <class Exchange, class Report>
Trained train(const Settings& settings, int rank, int ranks, const Exchange& exchange, const Report& report) {
  Trained trained{initial_parameters(settings.seed)};
  Spirals spirals(settings.seed + 1);
  std::vector<Point> batch(static_cast<std::size_t>(settings.batch));
  std::vector<float> gradient(kParameters + 1), velocity(kParameters, 0.0F);
  const auto share = [&](int r) { return batch.size() * static_cast<std::size_t>(r) / static_cast<std::size_t>(ranks); };
  const float weight = 1.0F / static_cast<float>(settings.batch);

  for (int step = 0; step < settings.steps; ++step) {
    for (Point& point : batch) point = spirals.next();
    std::ranges::fill(gradient, 0.0F);
    for (std::size_t i = share(rank); i < share(rank + 1); ++i)
      gradient.back() += weight * learn(trained.parameters, batch[i], weight, gradient.data());
    exchange(std::span(gradient));

    trained.last_loss = gradient.back();
    if (step == 0) trained.first_loss = trained.last_loss;
    for (std::size_t i = 0; i < kParameters; ++i) {
      velocity[i] = kMomentum * velocity[i] - kLearningRate * gradient[i];
      trained.parameters[i] += velocity[i];
    }
    report(step, trained.last_loss);
  }
  return trained;
}

// FNV-1a over the bits of the parameters.
std::uint64_t fingerprint(const std::vector<float>& parameters) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const float value : parameters) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3U;
  }
  return hash;
}

bool replicas_equal(tutti::Communicator& comm, const std::vector<float>& parameters) {
  const std::array mine{fingerprint(parameters)};
  std::vector<std::uint64_t> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::span<const std::uint64_t>(mine), std::span(all)).value_or_throw();
  const auto different = std::ranges::count_if(all, [&](std::uint64_t other) { return other != all.front(); });
  if (comm.rank() == 0)
    std::printf("replicas: %s (%d ranks, fingerprint %016llx)\n", different == 0 ? "equal, bit by bit" : "DIFFERENT", comm.size(),
                static_cast<unsigned long long>(all.front()));
  return different == 0;
}

// Trains once more, alone, and compares.
bool agrees_with_one_rank(const Settings& settings, const std::vector<float>& parameters) {
  const Trained alone = train(
      settings, 0, 1, [](std::span<float>) {}, [](int, float) {});
  float largest = 0;
  for (std::size_t i = 0; i < kParameters; ++i) {
    const float difference = std::abs(parameters[i] - alone.parameters[i]);
    if (!(difference <= largest)) largest = difference;  // a NaN counts
  }
  const bool agrees = largest <= kTolerance;
  std::printf("against one rank with the whole batch: largest difference of a parameter %.2e (allowed %.0e): %s\n", largest,
              kTolerance, agrees ? "agrees" : "DISAGREES");
  return agrees;
}

int run(const Settings& settings) {
  auto comm = tutti::Communicator::from_environment().value_or_throw();
  const bool speaks = comm.rank() == 0;
  if (speaks)
    std::printf("training %zu parameters on %d rank(s), %d steps of %d points\n", kParameters, comm.size(), settings.steps,
                settings.batch);

  const auto exchange = [&](std::span<float> gradient) { comm.all_reduce(gradient).value_or_throw(); };
  const auto report = [&](int step, float loss) {
    if (speaks && (step % settings.print_every == 0 || step + 1 == settings.steps))
      std::printf("step %5d  loss %.4f\n", step, loss);
  };
  const Trained trained = train(settings, comm.rank(), comm.size(), exchange, report);

  bool good = trained.last_loss < trained.first_loss;
  if (speaks && !good) std::printf("the loss has NOT fallen: %.4f, then %.4f\n", trained.first_loss, trained.last_loss);
  good = replicas_equal(comm, trained.parameters) && good;
  if (settings.compare && speaks) good = agrees_with_one_rank(settings, trained.parameters) && good;

  // One rank's failure is everybody's.
  std::array<std::int32_t, 1> all_good{good ? 1 : 0};
  comm.all_reduce(std::span<std::int32_t>(all_good), {.kind = tutti::ReduceKind::min}).value_or_throw();
  return all_good[0] == 1 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  Settings settings;
  CLI::App app{"Data-parallel training of a small network: run it under mpirun, with any number of ranks"};
  app.add_option("--steps", settings.steps, "Batches to learn from")->check(CLI::Range(2, 1000000))->capture_default_str();
  app.add_option("--batch", settings.batch, "Points per batch, over all ranks")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "Of data and first parameters")->capture_default_str();
  app.add_option("--print-every", settings.print_every, "Steps between two lines")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--compare", settings.compare, "Train on one rank with the whole batch, too, and compare the parameters");
  CLI11_PARSE(app, argc, argv);
  return run(settings);
} catch (const std::exception& error) {
  std::fprintf(stderr, "train: %s\n", error.what());
  return 1;
}
