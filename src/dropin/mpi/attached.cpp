#include "mpi/attached.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <mutex>

#include "core/config.h"
#include "core/fd.h"
#include "core/hash.h"
#include "core/log.h"
#include "gpu/driver.h"
#include "mpi/report.h"

namespace tutti::mpi {

std::atomic<std::uint64_t> attachments_deleted{0};

namespace {

// Never destroyed: a process may end in many ways, and ends its connections by ending.
struct Registry {
  std::mutex mutex;
  std::vector<std::unique_ptr<Attached>> all;
  bool finalizing = false;
};
Registry& registry() {
  static auto& one = *new Registry;
  return one;
}

// A rank that waits in tutti must still do its part in the messages and nonblocking collectives of the MPI library. Asking for a
// message that never comes makes every library do so; a probe is not enough for some.
class Progress {
 public:
  void begin() {
    const std::lock_guard lock(mutex_);
    if (comm_ != 0) return;
    pmpi::comm_dup(abi().comm_self, &comm_);
    pmpi::irecv(nullptr, 0, abi().byte, 0, 0, comm_, &request_);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    if (comm_ == 0) return;
    pmpi::cancel(&request_);
    pmpi::wait(&request_, status_);
    pmpi::comm_free(&comm_);
    comm_ = 0;
  }
  void push() {
    const std::unique_lock lock(mutex_, std::try_to_lock);  // one thread does it for all
    int flag = 0;
    if (lock && comm_ != 0) pmpi::test(&request_, &flag, status_);
  }

 private:
  std::mutex mutex_;
  Handle comm_ = 0, request_ = 0;
  alignas(16) std::byte status_[256];  // more than any MPI_Status
};
Progress& progress() {
  static auto& one = *new Progress;
  return one;
}

// MPI_Comm_free and MPI_Comm_disconnect come here, and MPI_Finalize, when some are gone already.
int comm_freed(Handle /*comm*/, int /*keyval*/, void* value, void* /*extra*/) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.all, [&](const auto& attached) { return attached.get() == value; });
  attachments_deleted.fetch_add(1, std::memory_order_release);
  return kSuccess;
}

// MPI_Finalize frees the attributes of MPI_COMM_SELF before anything else.
int finalizing(Handle /*comm*/, int /*keyval*/, void* /*value*/, void* /*extra*/) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.finalizing = true;
  print_report();
  r.all.clear();
  attachments_deleted.fetch_add(1, std::memory_order_release);
  progress().end();
  return kSuccess;
}

int create_keyval(int (*freed)(Handle, int, void*, void*)) {
  int key = 0;
  pmpi::comm_create_keyval(reinterpret_cast<void*>(do_not_copy), reinterpret_cast<void*>(freed), &key, nullptr);
  return key;
}

int keyval() {
  static const int key = [] {
    static int some = 0;
    pmpi::comm_set_attr(abi().comm_self, create_keyval(finalizing), &some);
    return create_keyval(comm_freed);
  }();
  return key;
}

// Known, initialized and not being finalized; sessions alone have no world.
bool mpi_is_there() {
  if (library().family == Family::unknown) return false;
  Registry& r = registry();
  {
    const std::lock_guard lock(r.mutex);
    if (r.finalizing) return false;
  }
  int initialized = 0;
  return pmpi::initialized(&initialized) == kSuccess && initialized != 0;
}

// What a start needs of every rank is tried out before any of them waits for it: the others would wait for a rank without it
// until their time is up. Empty when there are sockets and some descriptors to be had.
std::string lacks_descriptors() {
  constexpr std::size_t kSome = 32;
  std::vector<Fd> some;
  some.reserve(kSome);
  some.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!some.back() && errno == EAFNOSUPPORT) some.back() = Fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  while (some.back() && some.size() < kSome) some.emplace_back(fcntl(some.front().get(), F_DUPFD_CLOEXEC, 0));
  if (some.back()) return "";
  return system_error(errno, some.size() == 1 ? "opening a socket" : fmt::format("opening {} files", kSome)).to_string();
}

// Why this process would rather not; empty when it is willing.
std::string objection() {
  auto config = Config::from_environment();
  if (!config) return config.error().to_string();
  if (!config->flag(Var::mpi)) return "TUTTI_MPI=0";
  return "";
}

void say_that_all_is_left(const Error& why) {
  log(LogLevel::warn, fmt::format("collectives are left to the MPI library: {}", why.to_string()));
}

// A variable that cannot be understood leaves everything to the MPI library, which must not go unnoticed; once is enough.
void complain_of_variables() {
  static std::once_flag said;
  if (auto config = Config::from_environment(); !config) std::call_once(said, say_that_all_is_left, config.error());
}

bool check_wanted() {
  auto config = Config::from_environment();
  return config && config->flag(Var::mpi_check);
}

// What this rank knows of MPI_COMM_WORLD, where that is attached; 0 is nothing. Ranks of one world know the same.
struct World {
  const Attached* attached = nullptr;
  int number = 0;
};
World known_world() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  for (const auto& a : r.all)
    if (a->handle == abi().comm_world && a->communicator) return {a.get(), a->number};
  return {};
}

// Whether all ranks of a communicator know one and the same world: programs that were started one by one may have joined.
bool is_part_of(const World& world, Handle comm) {
  const int in[] = {world.number, -world.number};
  int out[] = {0, 0};
  return pmpi::allreduce(in, out, 2, abi().integer, abi().min, comm) == kSuccess && out[0] == -out[1] && out[0] != 0;
}

Options options() {
  Options options;
  options.while_waiting = [] { progress().push(); };
  // MPI knows no time limit; the program's user may.
  if (!environment("TUTTI_TIMEOUT")) options.call_timeout_s = 1e9;
  return options;
}

// Collective; every rank comes to the same end.
Status connect(Attached& a) {
  complain_of_variables();
  std::string why = objection();
  if (why.empty()) why = lacks_descriptors();
  Result<UniqueId> id = UniqueId{};
  if (why.empty() && a.rank == 0) {
    id = create_unique_id();
    if (!id) why = id.error().to_string();
  }
  if (!all_agree(why.empty(), a.handle)) return Error(Code::unsupported, why.empty() ? "another rank would not" : std::move(why));
  if (pmpi::bcast(id->bytes.data(), static_cast<int>(UniqueId::kSize), abi().byte, 0, a.handle) != kSuccess)
    return Error(Code::unsupported, "MPI_Bcast has failed");
  a.number = static_cast<int>(Hasher().bytes(id->bytes.data(), id->bytes.size()).result() % INT_MAX) + 1;
  progress().begin();
  Options with = options();
  int ranks_of_world = 0;
  pmpi::comm_size(abi().comm_world, &ranks_of_world);
  with.calibrate = a.size == ranks_of_world;  // parts are many, and short of time
  if (const World world = known_world(); is_part_of(world, a.handle)) with.part_of = &*world.attached->communicator;
  auto made = Communicator::create(*id, a.rank, a.size, with);
  if (!all_agree(static_cast<bool>(made), a.handle)) {
    if (made) return Error(Code::unsupported, "another rank could not start");
    say_that_all_is_left(made.error());
    return std::move(made.error());
  }
  a.communicator.emplace(std::move(*made));
  a.checked = all_agree(check_wanted(), a.handle);
  return {};
}

std::unique_ptr<Attached> attach(Handle comm) {
  auto a = std::make_unique<Attached>();
  a->handle = comm;
  int inter = 0;
  pmpi::comm_test_inter(comm, &inter);
  pmpi::comm_rank(comm, &a->rank);
  pmpi::comm_size(comm, &a->size);
  if (inter != 0)
    a->left_because = "an inter-communicator";
  else if (a->size == 1 && gpu::driver() == nullptr)
    a->left_because = "a communicator of one rank";
  else if (auto s = connect(*a); !s)
    a->left_because = s.error().to_string();
  return a;
}

}  // namespace

bool all_agree(bool mine, Handle comm) {
  const int in = mine ? 1 : 0;
  int out = 0;
  return pmpi::allreduce(&in, &out, 1, abi().integer, abi().min, comm) == kSuccess && out == 1;
}

bool willing() { return mpi_is_there() && objection().empty(); }

void watch_finalize() {
  if (mpi_is_there()) keyval();
}

Attached* find_attached(Handle comm) {
  if (!mpi_is_there() || comm == abi().comm_null) return nullptr;
  void* value = nullptr;
  int known = 0;
  if (pmpi::comm_get_attr(comm, keyval(), &value, &known) != kSuccess) return nullptr;
  if (known != 0) return static_cast<Attached*>(value);
  auto made = attach(comm);
  Attached* attached = made.get();
  if (pmpi::comm_set_attr(comm, keyval(), attached) != kSuccess) return nullptr;
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.all.push_back(std::move(made));
  return attached;
}

}  // namespace tutti::mpi
