#include "meeting.h"

#include <c10/util/StringUtil.h>

#include <thread>

namespace tutti_torch {
namespace {

constexpr std::chrono::milliseconds kShortest{1}, kLongest{20};

tutti::Error store_failed(const std::string& what, const std::exception& why) {
  return {tutti::Code::environment, c10::str(what, ": PyTorch's store: ", why.what())};
}

// Looks again and again, as a store serves one waiting thread at a time.
tutti::Status await(c10d::Store& store, const std::string& key, double timeout_s, const std::function<bool()>& given_up) {
  const auto start = std::chrono::steady_clock::now();
  auto pause = kShortest;
  while (!store.check({key})) {
    if (given_up && given_up()) return tutti::Error(tutti::Code::aborted, "the process group has ended");
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > timeout_s)
      return tutti::Error(tutti::Code::timeout, c10::str("the other side has not come within ", timeout_s, " s"));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongest);
  }
  return {};
}

}  // namespace

tutti::Result<tutti::Communicator> meet(const Store& store, const std::string& key, int rank, int size, tutti::Options options,
                                        const std::function<bool()>& given_up) {
  tutti::UniqueId id;
  try {
    if (rank == 0) {
      auto made = tutti::create_unique_id();
      if (!made) return std::move(made.error());
      id = *made;
      store->set(key, id.to_text());
    } else {
      if (auto s = await(*store, key, options.timeout_s, given_up); !s)
        return std::move(s.error()).because(c10::str("rank ", rank, " waits for rank 0"));
      auto read = tutti::UniqueId::from_text(store->get_to_str(key));
      if (!read) return std::move(read.error());
      id = *read;
    }
  } catch (const std::exception& e) {
    return store_failed(c10::str("rank ", rank, " looks for the others"), e);
  }
  return tutti::Communicator::create(id, rank, size, options);
}

}  // namespace tutti_torch
