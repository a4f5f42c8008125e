// Ranks as threads of one process, for tests.
#pragma once

#include <gtest/gtest.h>
#include <netdb.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "bootstrap/unique_id.h"

namespace tutti {

// Control connections on loopback, and a timeout that is only ever reached by tests that mean to.
inline Config test_config(const std::string& timeout_s = "30") {
  Config config = Config::from_environment().value_or_throw();
  config.set(Var::interface, "127.0.0.1").value_or_throw();
  config.set(Var::timeout, timeout_s).value_or_throw();
  return config;
}

// Whether this system can look a host's name up.
inline bool resolves(const std::string& name) {
  addrinfo* found = nullptr;
  if (getaddrinfo(name.c_str(), nullptr, nullptr, &found) != 0) return false;
  freeaddrinfo(found);
  return true;
}

// Runs one thread per rank and waits for all.
inline void each_rank(Rank size, const std::function<void(Rank)>& body) {
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < size; ++rank) threads.emplace_back(body, rank);
  for (auto& thread : threads) thread.join();
}

// One session per rank.
inline std::vector<Session> make_sessions(Rank size, const Config& config = test_config()) {
  std::vector<Session> sessions(static_cast<std::size_t>(size));
  const UniqueId id = create_unique_id(config, 60).value_or_throw();
  each_rank(size, [&](Rank rank) {
    auto session = bootstrap(id, rank, size, config);
    ASSERT_TRUE(session) << session.error().to_string();
    sessions[static_cast<std::size_t>(rank)] = std::move(*session);
  });
  return sessions;
}

// Asks until there is something to say; gives up after long enough for any machine.
inline Status await_failure(Overlay& overlay) {
  const TimePoint deadline = Clock::now() + std::chrono::seconds(30);
  while (Clock::now() < deadline) {
    if (auto s = overlay.poll_failures(); !s) return s;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

}  // namespace tutti
