// Ranks as processes of a benchmark.
#pragma once

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <string_view>
#include <vector>

namespace tutti::bench {

template <class Body>
pid_t start_rank(int me, std::string_view who, const Body& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    body(me);
    _exit(0);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: rank {}: {}\n", who, me, e.what());
    _exit(1);
  }
}

// body(rank) in a process each. Whether all went well; when one has failed, which it says as `who`, the others are not waited
// for.
template <class Body>
bool run_ranks(int count, std::string_view who, const Body& body) {
  std::vector<pid_t> ranks;
  for (int me = 0; me < count; ++me) ranks.push_back(start_rank(me, who, body));
  bool well = std::ranges::find(ranks, -1) == ranks.end();
  while (std::erase(ranks, -1), !ranks.empty()) {
    if (!well)
      for (const pid_t rank : ranks) kill(rank, SIGKILL);
    int status = 1;
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended == -1 && errno == EINTR) continue;
    std::ranges::replace(ranks, ended, -1);
    well = well && status == 0;
  }
  return well;
}

}  // namespace tutti::bench
