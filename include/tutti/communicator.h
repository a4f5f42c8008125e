// Collective calls.
//
//   auto comm = tutti::Communicator::from_environment().value_or_throw();
//   std::vector<float> gradients = ...;
//   comm.all_reduce(std::span(gradients)).value_or_throw();   // in place, sum
//
// Rules. Every rank of a communicator makes the same calls in the same order; ranks that disagree get an error that shows both
// sides. A communicator is used by one thread at a time; different communicators may be used by different threads at once.
// Buffers must not overlap, except that input and output may be the same memory ("in place") as each call says.
// Counts are in elements. All calls return Status; after an error other than Code::invalid_argument the communicator is dead,
// and every later call repeats the reason. Nothing is written to stdout.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"
#include "tutti/unique_id.h"

namespace tutti {

// One collective call as data: what every named function below fills in. For generated code, drop-ins and benchmarks.
//
//   collective       input                          output                          in place when
//   all_reduce       count                          count                           output == input
//   reduce           count                          count, at the root              output == input, at the root
//   broadcast        count, at the root             count                           output == input, at the root
//   all_gather       count                          ranks * count                   input == output + rank * count
//   reduce_scatter   ranks * count                  count                           output == input + rank * count
//   gather           count                          ranks * count, at the root      input == output + rank * count, at the root
//   scatter          ranks * count, at the root     count                           output == input + rank * count, at the root
//   all_to_all       ranks * count                  ranks * count                   output == input
//   barrier          -                              -
//   scan, exscan     count                          count                           output == input
//   send_recv        count to `destination`         receive_count from `source`     never
//
// v-variants: input_counts/output_counts hold one count per rank instead of `count` (for the side that has one block per rank;
// all_to_all: both), with optional displacements in elements. All ranks pass the same counts, except all_to_all, where rank
// r's input_counts[d] equals rank d's output_counts[r].
struct Call {
  Collective collective = Collective::barrier;
  const void* input = nullptr;
  void* output = nullptr;
  std::uint64_t count = 0;
  DataType type = DataType::u8;
  ReduceOp op = {};
  Rank root = 0;
  std::span<const std::uint64_t> input_counts = {}, input_displacements = {};
  std::span<const std::uint64_t> output_counts = {}, output_displacements = {};
  Rank destination = kNoRank, source = kNoRank;
  std::uint64_t receive_count = 0;
  // As in Options, for this call; equal on all ranks.
  std::string_view algorithm = {}, algorithm_filter = {};
  // As in Options, for this call; equal on all ranks. The call's own type: as if nothing were asked for.
  std::optional<OrderClass> order = {};
  std::optional<DataType> accumulate = {};
  // After so long without progress the call fails with Code::timeout, on all ranks; 0: as the communicator's options say. The
  // ranks need not say the same.
  double timeout_s = 0;
  // Other threads of this process have use for the core meanwhile: this one sleeps as soon as it has to wait, where it would
  // otherwise look for data without a pause for a while (TUTTI_SPIN_US). Not in a Group, and not for calls in streams.
  bool background = false;
};

// A cudaStream_t, or a CUstream; nullptr is the default stream.
using CudaStream = void*;

struct WorkState;

// An asynchronous call under way. Its buffers belong to tutti until it is done. Dropping a Work does not cancel the call.
class Work {
 public:
  // Waits until the call is done and gives its result; further waits give it again. From any thread.
  Status wait();
  // Code::timeout when it is not done within the time; the call goes on.
  Status wait_for(double seconds);
  // Whether the call is done (then wait() returns at once).
  [[nodiscard]] bool test() const;

 private:
  friend class Communicator;
  explicit Work(std::shared_ptr<WorkState> state) : state_(std::move(state)) {}
  std::shared_ptr<WorkState> state_;
};

struct Options {
  double timeout_s = 0;            // 0: TUTTI_TIMEOUT
  double call_timeout_s = 0;       // of calls alone, once the communicator is made; 0: timeout_s
  std::uint64_t memory_limit = 0;  // bytes one communicator may hold for scratch and transport buffers; 0: TUTTI_MEMORY_LIMIT
  std::string transports = {};     // empty: TUTTI_TRANSPORT
  // Which algorithms. `algorithm` forces one, perhaps with its parameters ("ring", "ring/pieces=8", "direct/published",
  // "direct/sent", "all_reduce:ring,broadcast:knomial/radix=4"); a call that it cannot serve fails. `algorithm_filter` only
  // restricts what the library chooses from: "ring,direct" (these), "^hierarchical" (all but this), "all_reduce:^ring". The
  // place nearest to the call that says either of them decides alone: the Call, these options, the variables TUTTI_ALGORITHM
  // and TUTTI_ALGORITHM_FILTER.
  std::string algorithm = {}, algorithm_filter = {};
  // Algorithms of your own to choose from: files of schedules, and libraries (tutti/plugin.h), separated by commas. All ranks
  // must give the same. Empty: TUTTI_SCHEDULES, TUTTI_PLUGINS.
  std::string schedules = {}, plugins = {};
  // What reductions promise about their bits. Not given: TUTTI_ORDER, or same_layout. Said here or there it holds for all calls
  // that can keep it, others promise what they can; where the Call itself says it, one that cannot is an error that tells what
  // could be had. A commutative operator of the user's must give the same bits either way round.
  std::optional<OrderClass> order = {};
  // What sums and products add up in, from the first contribution to the last, with one rounding in the end (means divide before
  // it; of scan and exscan after it): f32 (16- and 8-bit floats) or f64 (f32, and sums of c64). Not given: TUTTI_ACCUMULATE, or
  // the type, and of 16- and 8-bit floats f32 inside a step, while what ranks send each other in between is rounded to the type.
  // Ignored where nothing is rounded, and as above.
  std::optional<DataType> accumulate = {};
  bool calibrate = true;  // false: as with TUTTI_CALIBRATE=0
  // Called again and again while a call waits, at least about once a millisecond, by the thread that waits; for programs in which
  // something else must go on meanwhile. Communicators split from this one have it, too.
  std::function<void()> while_waiting = {};
  // A communicator that all ranks of the new one are in: what is known of the machine is taken from there and not measured again.
  const class Communicator* part_of = nullptr;
  // Gives the start up: it then ends soon with Code::aborted, and so it does on the ranks that were already connected. A
  // communicator that has been made is ended by abort().
  std::stop_token stop = {};
};

struct MemoryUse {
  std::uint64_t scratch_bytes = 0;    // for intermediate results
  std::uint64_t transport_bytes = 0;  // cells and staging of this communicator's connections
  std::uint64_t plan_bytes = 0;       // cached plans
  std::uint64_t device_bytes = 0;     // of the device: inboxes, flags and scratch of calls in streams; not in the limit
  [[nodiscard]] std::uint64_t total() const noexcept { return scratch_bytes + transport_bytes + plan_bytes; }
};

// C++ types that have a DataType.
template <class T>
struct DataTypeOf;
template <class T>
requires(std::integral<T> && !std::same_as<T, bool> && sizeof(T) <= 8) struct DataTypeOf<T> {
  static constexpr DataType value = [] {
    constexpr int row = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 2 : sizeof(T) == 4 ? 4 : 6;
    return static_cast<DataType>(row + (std::is_unsigned_v<T> ? 1 : 0));
  }();
};
template <>
struct DataTypeOf<bool> {
  static constexpr DataType value = DataType::boolean;
};
template <>
struct DataTypeOf<float> {
  static constexpr DataType value = DataType::f32;
};
template <>
struct DataTypeOf<double> {
  static constexpr DataType value = DataType::f64;
};
template <>
struct DataTypeOf<std::byte> {
  static constexpr DataType value = DataType::u8;
};

class Communicator {
 public:
  // All ranks of the job this process was started in: mpirun (PMIx), Hydra (PMI), srun, torchrun, or TUTTI_RANK, TUTTI_SIZE and
  // TUTTI_RENDEZVOUS. Without a launcher, a communicator of one rank.
  static Result<Communicator> from_environment(const Options& options = {});
  // Ranks that share an id made by create_unique_id() on one of them; they may be threads of one process.
  static Result<Communicator> create(const UniqueId& id, Rank rank, Rank size, const Options& options = {});

  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;
  ~Communicator();  // waits for calls that were started

  [[nodiscard]] Rank rank() const noexcept;
  [[nodiscard]] Rank size() const noexcept;

  // Runs a call to its end. Its buffers may be memory of a device (in no stream's order: they must be ready).
  Status run(const Call& call);
  // Makes the call in the order of a CUDA stream, after all that the stream was given before, and returns at once. Buffers may be
  // memory of a device, managed, pinned or ordinary memory, and belong to tutti until the stream has passed the call. It may be
  // captured into a graph. What goes wrong later is told by failure(). Needs NVIDIA's driver: Code::environment where there is
  // none. A communicator's streams belong to one device.
  Status enqueue(const Call& call, CudaStream stream);
  // Finds out whether the devices that are current on the ranks reach each other's memory, so that they do calls in streams by
  // themselves. Called by all ranks, those without a driver too; the first collective call in a stream does it otherwise.
  Status meet_devices();
  // Why this communicator can do no more, if something has gone wrong that no call could return. From any thread.
  [[nodiscard]] Status failure() const;
  // Whether a rank may still be waited for, as far as this one has heard: Code::peer_lost once it has died, or has finished and
  // left; the error that has ended the communicator, if one has. From any thread, also during a call; it never waits.
  [[nodiscard]] Status still_here(Rank rank) const;
  // Whether calls that were started or given to a stream are not done yet, captured ones apart. From any thread.
  [[nodiscard]] bool busy() const noexcept;
  // Starts a call and returns at once; calls on one communicator run in the order they were started. The spans inside the call
  // are copied; its buffers are not.
  Result<Work> start(const Call& call);

  // --- the collectives; T is any type with a DataType ---
  template <class T>
  Status all_reduce(std::span<const T> input, std::span<T> output, const ReduceOp& op = {}) {
    if (input.size() != output.size()) return sizes_differ("all_reduce", input.size(), output.size());
    return run(reduction(Collective::all_reduce, input.data(), output.data(), input.size(), DataTypeOf<T>::value, op));
  }
  template <class T>
  Status all_reduce(std::span<T> in_place, const ReduceOp& op = {}) {
    return all_reduce(std::span<const T>(in_place), in_place, op);
  }
  // `output` is used at the root only.
  template <class T>
  Status reduce(std::span<const T> input, std::span<T> output, Rank root, const ReduceOp& op = {}) {
    if (rank() == root && input.size() != output.size()) return sizes_differ("reduce", input.size(), output.size());
    return run(reduction(Collective::reduce, input.data(), output.data(), input.size(), DataTypeOf<T>::value, op, root));
  }
  template <class T>
  Status broadcast(std::span<T> data, Rank root) {
    return run({.collective = Collective::broadcast,
                .input = data.data(),
                .output = data.data(),
                .count = data.size(),
                .type = DataTypeOf<T>::value,
                .root = root});
  }
  // output holds size() blocks of input.size() elements.
  template <class T>
  Status all_gather(std::span<const T> input, std::span<T> output) {
    if (output.size() != input.size() * ranks()) return sizes_differ("all_gather", input.size() * ranks(), output.size());
    return run({.collective = Collective::all_gather,
                .input = input.data(),
                .output = output.data(),
                .count = input.size(),
                .type = DataTypeOf<T>::value});
  }
  // counts[r] elements of rank r, one after the other in output.
  template <class T>
  Status all_gatherv(std::span<const T> input, std::span<T> output, std::span<const std::uint64_t> counts) {
    if (auto s = check_v("all_gatherv", input.size(), output.size(), counts); !s) return s;
    return run({.collective = Collective::all_gather,
                .input = input.data(),
                .output = output.data(),
                .count = input.size(),
                .type = DataTypeOf<T>::value,
                .output_counts = counts});
  }
  template <class T>
  Status reduce_scatter(std::span<const T> input, std::span<T> output, const ReduceOp& op = {}) {
    if (input.size() != output.size() * ranks()) return sizes_differ("reduce_scatter", output.size() * ranks(), input.size());
    return run(reduction(Collective::reduce_scatter, input.data(), output.data(), output.size(), DataTypeOf<T>::value, op));
  }
  template <class T>
  Status reduce_scatterv(std::span<const T> input, std::span<T> output, std::span<const std::uint64_t> counts,
                         const ReduceOp& op = {}) {
    if (auto s = check_v("reduce_scatterv", output.size(), input.size(), counts); !s) return s;
    Call call = reduction(Collective::reduce_scatter, input.data(), output.data(), output.size(), DataTypeOf<T>::value, op);
    call.input_counts = counts;
    return run(call);
  }
  template <class T>
  Status gather(std::span<const T> input, std::span<T> output, Rank root) {
    if (rank() == root && output.size() != input.size() * ranks())
      return sizes_differ("gather", input.size() * ranks(), output.size());
    return run({.collective = Collective::gather,
                .input = input.data(),
                .output = output.data(),
                .count = input.size(),
                .type = DataTypeOf<T>::value,
                .root = root});
  }
  template <class T>
  Status gatherv(std::span<const T> input, std::span<T> output, std::span<const std::uint64_t> counts, Rank root) {
    if (auto s = check_v("gatherv", input.size(), rank() == root ? output.size() : total(counts), counts); !s) return s;
    return run({.collective = Collective::gather,
                .input = input.data(),
                .output = output.data(),
                .count = input.size(),
                .type = DataTypeOf<T>::value,
                .root = root,
                .output_counts = counts});
  }
  template <class T>
  Status scatter(std::span<const T> input, std::span<T> output, Rank root) {
    if (rank() == root && input.size() != output.size() * ranks())
      return sizes_differ("scatter", output.size() * ranks(), input.size());
    return run({.collective = Collective::scatter,
                .input = input.data(),
                .output = output.data(),
                .count = output.size(),
                .type = DataTypeOf<T>::value,
                .root = root});
  }
  template <class T>
  Status scatterv(std::span<const T> input, std::span<T> output, std::span<const std::uint64_t> counts, Rank root) {
    if (auto s = check_v("scatterv", output.size(), rank() == root ? input.size() : total(counts), counts); !s) return s;
    return run({.collective = Collective::scatter,
                .input = input.data(),
                .output = output.data(),
                .count = output.size(),
                .type = DataTypeOf<T>::value,
                .root = root,
                .input_counts = counts});
  }
  template <class T>
  Status all_to_all(std::span<const T> input, std::span<T> output) {
    if (input.size() != output.size() || input.size() % ranks() != 0)
      return sizes_differ("all_to_all (equal, multiples of the number of ranks)", input.size(), output.size());
    return run({.collective = Collective::all_to_all,
                .input = input.data(),
                .output = output.data(),
                .count = input.size() / ranks(),
                .type = DataTypeOf<T>::value});
  }
  template <class T>
  Status all_to_allv(std::span<const T> input, std::span<const std::uint64_t> input_counts, std::span<T> output,
                     std::span<const std::uint64_t> output_counts) {
    if (total(input_counts) != input.size()) return sizes_differ("all_to_allv input", total(input_counts), input.size());
    if (total(output_counts) != output.size()) return sizes_differ("all_to_allv output", total(output_counts), output.size());
    return run({.collective = Collective::all_to_all,
                .input = input.data(),
                .output = output.data(),
                .type = DataTypeOf<T>::value,
                .input_counts = input_counts,
                .output_counts = output_counts});
  }
  template <class T>
  Status scan(std::span<const T> input, std::span<T> output, const ReduceOp& op = {}) {
    if (input.size() != output.size()) return sizes_differ("scan", input.size(), output.size());
    return run(reduction(Collective::scan, input.data(), output.data(), input.size(), DataTypeOf<T>::value, op));
  }
  // Rank 0's output is left as it is.
  template <class T>
  Status exscan(std::span<const T> input, std::span<T> output, const ReduceOp& op = {}) {
    if (input.size() != output.size()) return sizes_differ("exscan", input.size(), output.size());
    return run(reduction(Collective::exscan, input.data(), output.data(), input.size(), DataTypeOf<T>::value, op));
  }
  Status barrier() { return run({}); }
  // Point to point: counts and types of the two sides must be equal. May complete before or after the peer has received.
  template <class T>
  Status send(std::span<const T> data, Rank destination) {
    return run({.collective = Collective::send_recv,
                .input = data.data(),
                .count = data.size(),
                .type = DataTypeOf<T>::value,
                .destination = destination});
  }
  template <class T>
  Status recv(std::span<T> data, Rank source) {
    return run({.collective = Collective::send_recv,
                .output = data.data(),
                .type = DataTypeOf<T>::value,
                .source = source,
                .receive_count = data.size()});
  }
  template <class T>
  Status sendrecv(std::span<const T> data, Rank destination, std::span<T> received, Rank source) {
    return run({.collective = Collective::send_recv,
                .input = data.data(),
                .output = received.data(),
                .count = data.size(),
                .type = DataTypeOf<T>::value,
                .destination = destination,
                .source = source,
                .receive_count = received.size()});
  }

  // --- more communicators; collective over this one ---
  // Ranks with equal colors form a communicator, ordered by key, then by rank. A negative color takes part and gets none:
  // the result is then a communicator of size 0.
  // `stop` gives it up, and this communicator with it.
  Result<Communicator> split(int color, int key = 0, std::stop_token stop = {});
  Result<Communicator> duplicate();

  // Ends all waiting on this communicator, on every rank, with Code::aborted and this reason. From any thread.
  void abort(const std::string& reason);

  // --- what it does and why ---
  [[nodiscard]] MemoryUse memory() const;
  // The algorithm for a call, with all candidates, their predicted times and the reasons of refusals. The call needs no buffers.
  // As JSON for a program. (A communicator chooses for ranges of sizes: where both ends of one choose alike, a call between them
  // is done like that, even if this tells of something slightly better.) Of a call with a buffer in the memory of a device: which
  // way the devices do it, once meet_devices() or a call has brought them together.
  [[nodiscard]] Result<std::string> explain(const Call& call, bool as_json = false) const;
  // Of the last completed call that was not part of a Group: "ring".
  [[nodiscard]] std::string last_algorithm() const;
  // What moved its data: transports(), or where devices did it themselves "streams" or "kernel LL128".
  [[nodiscard]] std::string last_way() const;
  // Those that any two ranks use: "shm", "shm+tcp"; "self" for one rank.
  [[nodiscard]] std::string transports() const;
  [[nodiscard]] std::string launcher() const;

 private:
  friend class Group;
  friend class Tuner;
  struct Impl;
  // Leaves alone, in a forked child, what is its parent's.
  struct Release {
    void operator()(Impl* impl) const noexcept;
  };
  using Owned = std::unique_ptr<Impl, Release>;
  explicit Communicator(Owned impl);
  Status run_on_device(const Call& call);
  [[nodiscard]] std::uint64_t ranks() const noexcept { return static_cast<std::uint64_t>(size()); }
  static Call reduction(Collective collective, const void* input, void* output, std::uint64_t count, DataType type,
                        const ReduceOp& op, Rank root = 0) {
    return {.collective = collective, .input = input, .output = output, .count = count, .type = type, .op = op, .root = root};
  }
  static Status sizes_differ(std::string_view call, std::uint64_t expected, std::uint64_t actual);
  static std::uint64_t total(std::span<const std::uint64_t> counts);
  Status check_v(std::string_view call, std::uint64_t own, std::uint64_t all, std::span<const std::uint64_t> counts) const;
  Owned impl_;
};

// Several calls run together: point-to-point calls all at once, calls on different communicators side by side (so that one
// thread may own several ranks), collectives on one communicator one after the other.
//
//   tutti::Group group;
//   group.add(comm, {.collective = Collective::send_recv, ...});
//   group.add(comm, ...);
//   group.run().value_or_throw();
class Group {
 public:
  // Checked at once, but for the algorithm; run at run(). The communicator and what the call points to must stay until then.
  Status add(Communicator& communicator, const Call& call);
  // To be made in the order of a CUDA stream, as by Communicator::enqueue. All calls of a group have streams, or none; each of
  // the streams waits for all of the calls.
  Status add(Communicator& communicator, const Call& call, CudaStream stream);
  // With the least timeout of its communicators; returns at once where the calls have streams. After an error other than
  // Code::invalid_argument all of them are dead.
  Status run();

 private:
  struct Entry {
    Communicator* communicator;
    Call call;
    bool has_stream = false;
    CudaStream stream = nullptr;
  };
  static Status enqueue(const std::vector<Entry>& entries);
  static Status run_on_devices(std::vector<Entry> entries);
  std::vector<Entry> entries_;
};

}  // namespace tutti
