// Bootstraps from whatever started it.
//   bootstrap_program [TIMES]   exchanges a few things and checks them, TIMES times; exit status 0 and a line "ok ..." when all
//   was right bootstrap_program watch     says "ready", then waits for a failure, says who is at fault, and exits with 3
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "bootstrap/bootstrap.h"
#include "core/log.h"

namespace {

using namespace tutti;

Status check_exchange(Overlay& overlay) {
  const std::string mine =
      "rank " + std::to_string(overlay.rank()) + std::string(static_cast<std::size_t>(overlay.rank()) * 1000, '.');
  auto all = overlay.all_gather(std::as_bytes(std::span(mine)));
  if (!all) return std::move(all.error());
  for (Rank rank = 0; rank < overlay.size(); ++rank) {
    const auto& theirs = (*all)[static_cast<std::size_t>(rank)];
    const std::string expected = "rank " + std::to_string(rank) + std::string(static_cast<std::size_t>(rank) * 1000, '.');
    if (theirs.size() != expected.size() || std::memcmp(theirs.data(), expected.data(), expected.size()) != 0)
      return Error(Code::internal, "rank " + std::to_string(rank) + "'s block is wrong");
    if (overlay.member(rank).pid <= 0) return Error(Code::internal, "rank " + std::to_string(rank) + " has no process");
  }
  return overlay.poll_failures();
}

Status run_once() {
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  auto session = bootstrap(*config);
  if (!session) return std::move(session.error());
  if (auto s = check_exchange(*session->overlay); !s) return s;
  auto part = split(*session, session->rank % 2, -session->rank, *config);
  if (!part) return std::move(part.error());
  if (auto s = check_exchange(*(*part)->overlay); !s) return s;
  (*part)->overlay->goodbye();
  session->overlay->goodbye();
  std::cout << "ok rank " + std::to_string(session->rank) + " of " + std::to_string(session->size) + " by " + session->launcher +
                   "\n";
  return {};
}

Status watch() {
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  auto session = bootstrap(*config);
  if (!session) return std::move(session.error());
  std::cout << "ready" << std::endl;
  for (;;) {
    if (auto s = session->overlay->poll_failures(); !s) {
      std::cout << "peer " + std::to_string(s.error().peer()) + ": " + s.error().to_string() << std::endl;
      return s;
    }
    std::vector<pollfd> fds;
    session->overlay->append_fds(fds);
    (void)::poll(fds.data(), fds.size(), 1000);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "watch") return watch() ? 0 : 3;
  const int times = argc > 1 ? std::atoi(argv[1]) : 1;
  for (int i = 0; i < times; ++i) {
    if (auto s = run_once(); !s) {
      std::cerr << "bootstrap_program: " + s.error().to_string() + "\n";
      return 1;
    }
  }
  return 0;
}
