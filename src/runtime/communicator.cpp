#include "tutti/communicator.h"

#include <fmt/format.h>

#include <numeric>

#include "core/log.h"
#include "runtime/communicator_impl.h"

namespace tutti {
namespace {

Result<Config> configure(const Options& options) {
  auto config = Config::from_environment();
  if (!config) return config;
  const auto override = [&](bool given, Var var, std::string value, std::string_view option) {
    return given ? config->set(var, std::move(value), fmt::format("option {}", option)) : Status{};
  };
  if (auto s = override(options.timeout_s != 0, Var::timeout, fmt::format("{}", options.timeout_s), "timeout_s"); !s)
    return std::move(s.error());
  if (auto s = override(options.memory_limit != 0, Var::memory_limit, std::to_string(options.memory_limit), "memory_limit"); !s)
    return std::move(s.error());
  if (auto s = override(!options.transports.empty(), Var::transport, options.transports, "transports"); !s)
    return std::move(s.error());
  if (options.order && static_cast<unsigned>(*options.order) >= kOrderClasses)
    return Error(Code::invalid_argument,
                 fmt::format("option order: there is no order class {}", static_cast<unsigned>(*options.order)));
  if (options.accumulate && static_cast<unsigned>(*options.accumulate) >= kDataTypes)
    return Error(Code::invalid_argument,
                 fmt::format("option accumulate: there is no data type {}", static_cast<unsigned>(*options.accumulate)));
  if (auto s =
          override(options.order.has_value(), Var::order, std::string(name(options.order.value_or(OrderClass::fast))), "order");
      !s)
    return std::move(s.error());
  if (auto s = override(options.accumulate.has_value(), Var::accumulate,
                        std::string(name(options.accumulate.value_or(DataType::f32))), "accumulate");
      !s)
    return std::move(s.error());
  // These two decide together: whoever gives one does not want the other from further out.
  const bool chooses = !options.algorithm.empty() || !options.algorithm_filter.empty();
  if (auto s = override(chooses, Var::algorithm, options.algorithm, "algorithm"); !s) return std::move(s.error());
  if (auto s = override(chooses, Var::algorithm_filter, options.algorithm_filter, "algorithm_filter"); !s)
    return std::move(s.error());
  if (auto s = override(!options.schedules.empty(), Var::schedules, options.schedules, "schedules"); !s)
    return std::move(s.error());
  if (auto s = override(!options.plugins.empty(), Var::plugins, options.plugins, "plugins"); !s) return std::move(s.error());
  if (auto s = override(!options.calibrate, Var::calibrate, "0", "calibrate"); !s) return std::move(s.error());
  return config;
}

void configure_log_from(const Config& config, Rank rank) {
  const std::string& level = config.text(Var::log);
  configure_log(level == "error"  ? LogLevel::error
                : level == "warn" ? LogLevel::warn
                : level == "info" ? LogLevel::info
                                  : LogLevel::debug,
                config.text(Var::log_file), rank);
}

Error nobody() {
  return {Code::invalid_argument, "this communicator is empty: split() was called with a negative color, or it was moved from"};
}

}  // namespace

Result<Communicator> Communicator::Impl::make(Result<Session> session, const Config& config, const Options& options,
                                              const Job* parent) {
  if (!session) return std::move(session.error());
  if (parent == nullptr) configure_log_from(config, session->rank);
  auto job = Job::start(std::move(*session), config, parent);
  if (!job) return std::move(job.error());
  auto runner = Runner::make(std::move(*job), options);
  if (!runner) return std::move(runner.error());
  return Communicator(Owned(new Impl(std::move(*runner))));
}

// Its threads stay with the parent, and what it would say on the connections the peers would take for the parent's words.
void Communicator::Release::operator()(Impl* impl) const noexcept {
  if (getpid() == impl->owner) delete impl;
}

Communicator::Communicator(Owned impl) : impl_(std::move(impl)) {}
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;
Communicator::~Communicator() = default;

Result<Communicator> Communicator::from_environment(const Options& options) {
  auto config = configure(options);
  if (!config) return std::move(config.error());
  return Impl::make(bootstrap(*config, environment, options.stop), *config, options);
}

Result<Communicator> Communicator::create(const UniqueId& id, Rank rank, Rank size, const Options& options) {
  auto config = configure(options);
  if (!config) return std::move(config.error());
  const Communicator* whole = options.part_of;
  const Job* parent = whole != nullptr && whole->impl_ ? &whole->impl_->runner->job() : nullptr;
  return Impl::make(bootstrap(id, rank, size, *config, options.stop), *config, options, parent);
}

Result<StreamOrder*> Communicator::Impl::follow_streams(const gpu::Driver& driver) {
  if (!streams) {
    auto made = StreamOrder::make(driver, *runner);
    if (!made) return std::move(made.error());
    streams = std::move(*made);
    streams_made = streams.get();
  }
  return streams.get();
}

Status Communicator::Impl::wait_until_idle() {
  async.wait_until_idle();
  return streams && !streams->idle() ? streams->wait_until_idle() : Status{};
}

Result<DeviceExplanation> Communicator::Impl::explain_on_devices(const Request& request, const SelectRequest& asked) const {
  if (streams && streams->devices() != nullptr) return streams->devices()->explain(request);
  std::string why = streams ? streams->why_no_devices() : "the ranks' devices have not met";
  if (runner->job().size() == 1) why = "there is one rank, and no device that it would have to meet";
  return DeviceExplanation{.request = asked, .ranks = runner->job().size(), .ways = {}, .left_to_host = std::move(why)};
}

Rank Communicator::rank() const noexcept { return impl_ ? impl_->runner->job().rank() : kNoRank; }
Rank Communicator::size() const noexcept { return impl_ ? impl_->runner->job().size() : 0; }

Status Communicator::run(const Call& call) {
  if (!impl_) return nobody();
  if (on_device(call)) return run_on_device(call);
  if (impl_->streams)
    if (auto s = impl_->wait_until_idle(); !s) return s;
  if (!impl_->async.busy()) [[likely]]
    return impl_->runner->run(call);
  auto work = start(call);
  if (!work) return std::move(work.error());
  return work->wait();
}

Status Communicator::run_on_device(const Call& call) {
  Group one;
  if (auto s = one.add(*this, call); !s) return s;
  return one.run();
}

Status Communicator::meet_devices() {
  if (!impl_) return nobody();
  if (auto s = impl_->wait_until_idle(); !s) return s;
  const gpu::Driver* driver = gpu::driver();
  if (driver == nullptr) return DeviceCalls::stay_away(*impl_->runner);
  auto order = impl_->follow_streams(*driver);
  return order ? (*order)->meet() : Status(std::move(order.error()));
}

Status Communicator::enqueue(const Call& call, CudaStream stream) {
  Group one;
  if (auto s = one.add(*this, call, stream); !s) return s;
  return one.run();
}

Status Communicator::failure() const {
  const StreamOrder* streams = impl_ ? impl_->streams_made.load() : nullptr;
  return streams != nullptr ? streams->failure() : Status{};
}

Status Communicator::still_here(Rank peer) const {
  if (!impl_) return nobody();
  Job& job = impl_->runner->job();
  if (peer < 0 || peer >= job.size())
    return Error(Code::invalid_argument, fmt::format("there is no rank {} of {}", peer, job.size()));
  if (job.size() == 1) return {};
  Overlay& overlay = *job.session().overlay;
  if (auto s = overlay.poll_failures(); !s) return s;
  return overlay.still_here(peer);
}

bool Communicator::busy() const noexcept {
  if (!impl_) return false;
  const StreamOrder* streams = impl_->streams_made.load();
  return impl_->async.busy() || (streams != nullptr && !streams->idle());
}

Result<Work> Communicator::start(const Call& call) {
  if (!impl_) return nobody();
  if (auto request = impl_->check(call); !request) return std::move(request.error());
  auto state = impl_->async.push(call);
  if (!state) return impl_->runner->fail(std::move(state.error()));
  return Work(std::move(*state));
}

Result<Communicator> Communicator::split(int color, int key, std::stop_token stop) {
  if (!impl_) return nobody();
  if (auto s = impl_->wait_until_idle(); !s) return std::move(s.error());
  Runner& runner = *impl_->runner;
  if (auto s = runner.alive(); !s) return std::move(s.error());
  Job& job = runner.job();
  auto session = tutti::split(job.session(), color, key, job.config(), std::move(stop));
  if (!session) return runner.fail(session.because(fmt::format("splitting the communicator on rank {}", job.rank())));
  if (!*session) return Communicator(nullptr);
  return Impl::make(std::move(**session), job.config(), runner.options(), &job);
}

Result<Communicator> Communicator::duplicate() { return split(0, rank()); }

void Communicator::abort(const std::string& reason) {
  if (impl_) impl_->runner->abort(reason);
}

MemoryUse Communicator::memory() const {
  if (!impl_) return {};
  MemoryUse use = impl_->runner->memory();
  if (StreamOrder* streams = impl_->streams_made.load()) use.device_bytes = streams->device_bytes();
  return use;
}

Result<std::string> Communicator::explain(const Call& call, bool as_json) const {
  if (!impl_) return nobody();
  auto request = check_shape(call, rank(), size(), impl_->runner->contract());
  if (!request) return std::move(request.error());
  if (call.collective == Collective::send_recv)
    return Error(Code::invalid_argument, "send_recv has no algorithms to choose from");
  const SelectRequest asked = impl_->runner->question(*request);
  if (on_device(call)) {
    auto explanation = impl_->explain_on_devices(*request, asked);
    if (!explanation) return std::move(explanation.error());
    return as_json ? to_json(*explanation) : render(*explanation);
  }
  auto explained = impl_->runner->explain(*request);
  if (!explained) return std::move(explained.error());
  JobMachine machine = *explained->machine;
  if (size() > 1) {
    machine.carriers = impl_->runner->job().carriers();
    machine.adoption = impl_->runner->adoption().describe();
  }
  const auto& [selection, as_asked, on] = *explained;
  return as_json ? to_json(selection, as_asked, machine) : render(selection, as_asked, machine);
}

std::string Communicator::last_way() const {
  const bool devices = impl_ && impl_->streams && !impl_->streams->last_algorithm().empty();
  return devices ? impl_->streams->last_way() : transports();
}

std::string Communicator::last_algorithm() const {
  if (!impl_) return "";
  const bool devices = impl_->streams && !impl_->streams->last_algorithm().empty();
  return devices ? impl_->streams->last_algorithm() : impl_->runner->last_algorithm();
}

std::string Communicator::transports() const { return impl_ ? impl_->runner->job().transports_in_use() : ""; }

std::string Communicator::launcher() const { return impl_ ? impl_->runner->job().session().launcher : ""; }

Status Communicator::sizes_differ(std::string_view call, std::uint64_t expected, std::uint64_t actual) {
  return Error(Code::invalid_argument,
               fmt::format("{}: the buffers do not fit: {} elements are needed, {} were given", call, expected, actual));
}

std::uint64_t Communicator::total(std::span<const std::uint64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

Status Communicator::check_v(std::string_view call, std::uint64_t own, std::uint64_t all,
                             std::span<const std::uint64_t> counts) const {
  if (counts.size() != ranks())
    return Error(Code::invalid_argument, fmt::format("{}: {} counts were given for {} ranks", call, counts.size(), ranks()));
  if (counts[static_cast<std::size_t>(rank())] != own) return sizes_differ(call, counts[static_cast<std::size_t>(rank())], own);
  if (total(counts) != all) return sizes_differ(call, total(counts), all);
  return {};
}

}  // namespace tutti
