// Communicators whose ranks are threads of one process, for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

#include "tutti/communicator.h"

namespace tutti {

using Where = std::source_location;

inline void ok(const Status& status, Where where = Where::current()) {
  if (!status)
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << const_cast<Status&>(status).error().to_string();
}

// The error has this code, and its text holds all the words.
inline void fails(const Error& error, Code code, const std::vector<std::string>& words, Where where = Where::current()) {
  const testing::ScopedTrace trace(where.file_name(), static_cast<int>(where.line()), "checked here");
  EXPECT_EQ(name(error.code()), name(code)) << error.to_string();
  for (const auto& word : words) EXPECT_THAT(error.to_string(), testing::HasSubstr(word));
}
template <class T>
void fails(Result<T> result, Code code, const std::vector<std::string>& words, Where where = Where::current()) {
  if (result)
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << "succeeded, should have failed with " << name(code);
  else
    fails(result.error(), code, words, where);
}

// Runs `body` once per rank, each in its thread; what fails there is reported with the rank.
inline void each_rank_thread(Rank size, const std::function<void(Rank)>& body) {
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      const testing::ScopedTrace trace(__FILE__, __LINE__, "rank " + std::to_string(rank) + " of " + std::to_string(size));
      body(rank);
    });
  for (auto& thread : threads) thread.join();
}

using Body = std::function<void(Communicator&)>;

// Each rank makes its communicator with its own options, runs `body` and lets go of it.
inline void run_ranks(Rank size, const std::function<Options(Rank)>& options, const Body& body) {
  auto id = create_unique_id(120);
  ASSERT_TRUE(id) << id.error().to_string();
  each_rank_thread(size, [&](Rank rank) {
    auto comm = Communicator::create(*id, rank, size, options(rank));
    ASSERT_TRUE(comm) << comm.error().to_string();
    ASSERT_EQ(comm->rank(), rank);
    ASSERT_EQ(comm->size(), size);
    body(*comm);
  });
}
inline void run_ranks(Rank size, const Options& options, const Body& body) {
  run_ranks(
      size, [&](Rank) { return options; }, body);
}
inline void run_ranks(Rank size, const Body& body) { run_ranks(size, Options{}, body); }

// All ranks' communicators at once, for one thread to use.
inline std::vector<Communicator> make_communicators(Rank size, const Options& options = {}) {
  std::vector<std::unique_ptr<Communicator>> made(static_cast<std::size_t>(size));
  run_ranks(size, options, [&](Communicator& comm) {
    auto& place = made[static_cast<std::size_t>(comm.rank())];
    place = std::make_unique<Communicator>(std::move(comm));
  });
  std::vector<Communicator> all;
  for (auto& comm : made) all.push_back(std::move(*comm));
  return all;
}

// That a communicator works: every rank adds one.
inline void works(Communicator& comm, Where where = Where::current()) {
  std::vector<int> one{1, 1, 1};
  ok(comm.all_reduce(std::span(one)), where);
  EXPECT_EQ(one, std::vector<int>(3, comm.size())) << where.line();
}

}  // namespace tutti
