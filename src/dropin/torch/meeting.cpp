#include "meeting.h"

#include <c10/util/StringUtil.h>

#include <condition_variable>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

namespace tutti_torch {
namespace {

constexpr std::chrono::milliseconds kShortest{1}, kLongest{20};
constexpr std::chrono::milliseconds kLook{500};
constexpr double kLate = 60;  // seconds that rank 0 may start later than others find what an earlier one has left

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

tutti::Error not_come(int rank, double timeout_s) {
  return {tutti::Code::timeout, c10::str("rank ", rank, " has not come within ", timeout_s, " s"), rank};
}

// What rank `from` has written under the key, other than `old`. Looks again and again, as a store serves one waiting thread at a
// time.
tutti::Result<std::string> await(c10d::Store& store, int from, const std::string& key, const std::string& old, double timeout_s,
                                 const MayWait& may_wait) {
  const auto start = std::chrono::steady_clock::now();
  for (auto pause = kShortest;; pause = std::min(pause * 2, kLongest)) {
    if (store.check({key}))
      if (auto text = store.get_to_str(key); text != old) return text;
    if (may_wait)
      if (auto s = may_wait(); !s) return std::move(s.error());
    if (since(start) > timeout_s) return not_come(from, timeout_s);
    std::this_thread::sleep_for(pause);
  }
}

tutti::Result<std::string> announce(c10d::Store& store, const std::string& key) {
  auto id = tutti::create_unique_id();
  if (!id) return std::move(id.error());
  store.set(key, id->to_text());
  return id->to_text();
}

tutti::Result<tutti::Communicator> create(const std::string& text, int rank, int size, const tutti::Options& options) {
  auto id = tutti::UniqueId::from_text(text);
  if (!id) return std::move(id.error());
  return tutti::Communicator::create(*id, rank, size, options);
}

bool may_be_stale(tutti::Code code) {
  using tutti::Code;
  return code == Code::peer_lost || code == Code::aborted || code == Code::unauthenticated;
}

// Stops the making of a communicator when it is of no use any more.
class Watch {
 public:
  explicit Watch(std::function<bool()> is_useless)
      : thread_([this, is_useless = std::move(is_useless)](const std::stop_token& end) {
          std::unique_lock lock(mutex_);
          while (!ended_.wait_for(lock, end, kLook, [] { return false; }) && !end.stop_requested())
            if (is_useless()) return (void)useless_.request_stop();
        }) {}
  [[nodiscard]] std::stop_token stop() const { return useless_.get_token(); }

 private:
  std::stop_source useless_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;
};

// Whether rank 0 has written another id: this one was an earlier one's.
bool has_another(c10d::Store& store, const std::string& key, const std::string& text) {
  try {
    return store.get_to_str(key) != text;
  } catch (const std::exception&) {
    return false;  // whoever makes the communicator finds out
  }
}

// Rank 0's id may be one that an earlier group's rank 0 has left: then nobody is there, and the right one comes soon.
tutti::Result<std::pair<tutti::Communicator, std::string>> follow(const Store& store, const std::string& key, int rank, int size,
                                                                  tutti::Options options) {
  std::optional<tutti::Error> failed;
  std::string text;
  for (;;) {
    auto next = await(*store, 0, key, text, failed ? std::min(options.timeout_s, kLate) : options.timeout_s, {});
    if (!next) return failed ? *std::move(failed) : std::move(next.error());
    text = *std::move(next);
    const Watch watch([own = store->clone(), key, text] { return has_another(*own, key, text); });
    options.stop = watch.stop();
    auto made = create(text, rank, size, options);
    if (made) return std::pair(*std::move(made), text);
    failed = std::move(made.error());
    if (!may_be_stale(failed->code())) return *std::move(failed);
  }
}

template <class T, class Work>
tutti::Result<T> with_store(Work&& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return tutti::Error(tutti::Code::environment, c10::str("PyTorch's store, where ranks meet: ", e.what()));
  }
}

}  // namespace

tutti::Result<tutti::Communicator> meet_one(const Store& store, const std::string& key, int me, int first, int second,
                                            tutti::Options options, const MayWait& may_wait) {
  return with_store<tutti::Communicator>([&]() -> tutti::Result<tutti::Communicator> {
    const bool is_first = me == first;
    auto text = is_first ? announce(*store, key) : await(*store, first, key, "", options.timeout_s, may_wait);
    if (!text) return std::move(text.error());
    const Watch watch([&] { return !may_wait(); });
    options.stop = watch.stop();
    auto made = create(*text, is_first ? 0 : 1, 2, options);
    if (made) return made;
    if (is_first) store->deleteKey(key);  // nobody is to come there later
    if (auto s = may_wait(); !s) return std::move(s.error());
    if (is_first && made.error().code() == tutti::Code::timeout) return not_come(second, options.timeout_s);
    return made;
  });
}

tutti::Result<Group> meet_group(const Store& store, int rank, int size, const tutti::Options& options) {
  const std::string key = "tutti/group";
  return with_store<Group>([&]() -> tutti::Result<Group> {
    const auto named = [&](tutti::Communicator communicator, const std::string& text) {
      return Group{std::move(communicator),
                   c10::make_intrusive<c10d::PrefixStore>(c10::str("tutti/", std::hash<std::string>()(text)), store)};
    };
    if (rank > 0) {
      auto made = follow(store, key, rank, size, options);
      if (!made) return std::move(made.error());
      return named(std::move(made->first), made->second);
    }
    auto text = announce(*store, key);
    if (!text) return std::move(text.error());
    auto made = create(*text, rank, size, options);
    if (!made) return std::move(made.error());
    return named(*std::move(made), *text);
  });
}

}  // namespace tutti_torch
