#include "transports/verbs/queue_pair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/handshake.h"

namespace tutti::verbs {
namespace {

constexpr int kHopLimit = 64;
constexpr std::uint8_t kNoReceiveTimer = 12;  // 0.64 ms, which nothing should ever wait for
constexpr std::uint8_t kForever = 7;          // of rnr_retry
constexpr std::uint32_t kPacketNumbers = 0xffffff;

std::uint32_t random_packet_number() {
  const Secret random = random_secret();
  std::uint32_t number = 0;
  std::memcpy(&number, random.bytes.data(), sizeof number);
  return number & kPacketNumbers;
}

// Those that come from the other end, or from the way there.
bool tells_of_peer(ibv_wc_status status) {
  constexpr std::array kStatuses{IBV_WC_WR_FLUSH_ERR,  IBV_WC_REM_INV_REQ_ERR,   IBV_WC_REM_ACCESS_ERR, IBV_WC_REM_OP_ERR,
                                 IBV_WC_RETRY_EXC_ERR, IBV_WC_RNR_RETRY_EXC_ERR, IBV_WC_REM_ABORT_ERR,  IBV_WC_RESP_TIMEOUT_ERR};
  return std::ranges::find(kStatuses, status) != kStatuses.end();
}

}  // namespace

Result<std::unique_ptr<QueuePair>> QueuePair::create(std::shared_ptr<Device> device, const Port& port, const QueueLimits& limits,
                                                     Rank peer) {
  auto pair = std::unique_ptr<QueuePair>(new QueuePair(std::move(device), port, limits, peer));
  if (Status made = pair->make(); !made) return std::move(made.error());
  return pair;
}

Error QueuePair::failed(int error_number, std::string_view what) const {
  return system_error(error_number, fmt::format("{} for rank {} on {}", what, peer_, port_.to_string()), peer_);
}

Status QueuePair::make() {
  const Library& library = device_->library();
  channel_ = library.make_channel(device_->context());
  if (channel_ == nullptr) return failed(errno, "making a completion channel");
  const int flags = fcntl(channel_->fd, F_GETFL);
  if (flags < 0 || fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) != 0) return failed(errno, "preparing a completion channel");
  completions_ = library.make_completions(device_->context(), limits_.sends + receives() + 1, nullptr, channel_, 0);
  if (completions_ == nullptr) return failed(errno, "making a completion queue");
  auto shares = device_->reserve(receives());
  if (!shares) return std::move(shares.error());
  shares_receives_ = *shares;
  if (Status made = make_pair(); !made) return made;
  if (Status ready = to_init(); !ready) return ready;
  first_packet_ = random_packet_number();
  return shares_receives_ ? Status{} : replenish(receives());
}

Status QueuePair::make_pair() {
  ibv_qp_init_attr attributes{};
  attributes.send_cq = attributes.recv_cq = completions_;
  attributes.srq = shares_receives_ ? device_->receives() : nullptr;
  attributes.qp_type = IBV_QPT_RC;
  attributes.cap.max_send_wr = static_cast<std::uint32_t>(limits_.sends);
  attributes.cap.max_recv_wr = shares_receives_ ? 0 : static_cast<std::uint32_t>(receives());
  attributes.cap.max_send_sge = 2;
  attributes.cap.max_recv_sge = 1;
  // How much a device takes inline is only found out by asking for it.
  for (int bytes = limits_.inline_bytes;; bytes /= 2) {
    attributes.cap.max_inline_data = static_cast<std::uint32_t>(bytes);
    pair_ = device_->library().make_queue_pair(device_->domain(), &attributes);
    if (pair_ != nullptr || bytes == 0) break;
  }
  if (pair_ == nullptr) return failed(errno, "making a queue pair");
  limits_.inline_bytes = static_cast<int>(std::min<std::uint32_t>(attributes.cap.max_inline_data, 1024));
  return {};
}

// What has been used up and not been posted anew is missing to the others that share.
QueuePair::~QueuePair() {
  const Library& library = device_->library();
  if (pair_ != nullptr) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_ERR;
    failed_ = true;
    (void)library.change_queue_pair(pair_, &attributes, IBV_QP_STATE);
    std::vector<Signal> ignored;
    if (completions_ != nullptr && poll()) (void)take(ignored);
    (void)post_used();
    (void)library.free_queue_pair(pair_);
  }
  if (shares_receives_) device_->give_back(receives());
  end_wait();
  if (completions_ != nullptr) (void)library.free_completions(completions_);
  if (channel_ != nullptr) (void)library.free_channel(channel_);
}

RailEnd QueuePair::end() const noexcept {
  RailEnd end{
      .queue_pair = pair_->qp_num, .first_packet = first_packet_, .lid = port_.lid, .mtu = static_cast<std::uint8_t>(port_.mtu)};
  std::copy_n(std::begin(port_.gid.gid.raw), end.gid.size(), end.gid.begin());
  return end;
}

Status QueuePair::change(ibv_qp_attr& attributes, int mask, std::string_view to) {
  if (const int error = device_->library().change_queue_pair(pair_, &attributes, mask | IBV_QP_STATE); error != 0)
    return failed(error > 0 ? error : errno, fmt::format("bringing a queue pair to the state '{}'", to));
  return {};
}

Status QueuePair::to_init() {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = port_.number;
  attributes.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  return change(attributes, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "initialized");
}

Status QueuePair::to_receive(const RailEnd& theirs, const PathOptions& options) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = std::min(port_.mtu, static_cast<ibv_mtu>(theirs.mtu));
  attributes.dest_qp_num = theirs.queue_pair;
  attributes.rq_psn = theirs.first_packet;
  attributes.max_dest_rd_atomic = 1;
  attributes.min_rnr_timer = kNoReceiveTimer;
  ibv_ah_attr& path = attributes.ah_attr;
  path.port_num = port_.number;
  path.sl = static_cast<std::uint8_t>(options.service_level);
  path.dlid = theirs.lid;
  path.is_global = port_.ethernet ? 1 : 0;  // in one subnet of InfiniBand the LID is enough
  std::ranges::copy(theirs.gid, std::begin(path.grh.dgid.raw));
  path.grh.sgid_index = static_cast<std::uint8_t>(port_.gid.gid_index);
  path.grh.hop_limit = kHopLimit;
  path.grh.traffic_class = static_cast<std::uint8_t>(options.traffic_class);
  return change(attributes,
                IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                "ready to receive");
}

Status QueuePair::to_send(const PathOptions& options) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.timeout = static_cast<std::uint8_t>(options.timeout);
  attributes.retry_cnt = static_cast<std::uint8_t>(options.retries);
  attributes.rnr_retry = kForever;
  attributes.sq_psn = first_packet_;
  attributes.max_rd_atomic = 1;
  return change(attributes, IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
                "ready to send");
}

Status QueuePair::connect(const RailEnd& theirs, const PathOptions& options) {
  if (Status receives = to_receive(theirs, options); !receives)
    return receives.because(fmt::format("connecting {} with rank {}'s, whose address is {}", port_.to_string(), peer_, [&] {
      ibv_gid gid{};
      std::ranges::copy(theirs.gid, std::begin(gid.raw));
      return port_.ethernet ? to_string(gid) : fmt::format("LID {}", theirs.lid);
    }()));
  return to_send(options);
}

Result<std::uint64_t> QueuePair::post(const Write& write) {
  const auto piece = [](const void* from, std::size_t bytes, std::uint32_t key) {
    return ibv_sge{.addr = reinterpret_cast<std::uint64_t>(from), .length = static_cast<std::uint32_t>(bytes), .lkey = key};
  };
  std::array memory{piece(write.from, write.bytes, write.local_key),
                    piece(write.behind.data(), write.behind.size(), write.behind_key)};
  const std::size_t bytes = write.bytes + write.behind.size();
  ibv_send_wr request{};
  request.wr_id = posted_ + 1;
  request.sg_list = memory.data();
  request.num_sge = !write.behind.empty() ? 2 : write.bytes > 0 ? 1 : 0;
  request.opcode = write.signal ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
  if (write.signal) request.imm_data = htonl(write.signal->encode());
  request.wr.rdma = {.remote_addr = write.to, .rkey = write.remote_key};
  // Unless some are reported, nobody learns when there is room again.
  const bool report = write.report || posted_ + 1 - reported_ >= static_cast<std::uint64_t>(std::max(limits_.sends / 4, 1));
  if (report) request.send_flags |= IBV_SEND_SIGNALED;
  if (bytes > 0 && bytes <= static_cast<std::size_t>(limits_.inline_bytes)) request.send_flags |= IBV_SEND_INLINE;
  ibv_send_wr* bad = nullptr;
  if (const int error = ibv_post_send(pair_, &request, &bad); error != 0)
    return failed(error, fmt::format("posting a write of {} bytes ({})", bytes, write.what));
  ++posted_;
  if (report) reported_ = posted_;
  sent_[posted_ % sent_.size()] = {write.what, bytes};
  return posted_;
}

Status QueuePair::flush() {
  if (reported_ == posted_ || !room()) return {};
  auto posted = post({.report = true, .what = "nothing, to learn that all has arrived"});
  return posted ? Status{} : std::move(posted.error());
}

Error QueuePair::failed(const ibv_wc& completion) const {
  const Code code = tells_of_peer(completion.status) ? Code::peer_lost : Code::resource;
  const std::string status = fmt::format("{} (status {}, vendor's {:#x})", device_->library().status_text(completion.status),
                                         static_cast<int>(completion.status), completion.vendor_err);
  if (completion.wr_id == kReceiveId)
    return {code, fmt::format("the connection to rank {} on {} broke: {}", peer_, port_.to_string(), status), peer_};
  const Sent& sent = sent_[completion.wr_id % sent_.size()];
  return {code,
          fmt::format("a write of {} bytes ({}) to rank {} on {} failed: {}", sent.bytes, sent.what, peer_, port_.to_string(),
                      status),
          peer_};
}

Status QueuePair::take(std::vector<Signal>& arrived) {
  std::optional<Error> first;
  do {
    if (count_ < 0) return first ? *std::move(first) : failed(EIO, "polling the completion queue");
    int receives = 0;
    for (const ibv_wc& completion : std::span(batch_).first(static_cast<std::size_t>(count_))) {
      receives += completion.wr_id == kReceiveId ? 1 : 0;
      take(completion, arrived, first);
    }
    if (Status posted = replenish(receives); !posted && !first) first = std::move(posted.error());
  } while (count_ == static_cast<int>(batch_.size()) && poll());
  return first ? Status(*std::move(first)) : Status{};
}

// What came before a failure, or beside it, counts all the same.
void QueuePair::take(const ibv_wc& completion, std::vector<Signal>& arrived, std::optional<Error>& first) {
  if (completion.status != IBV_WC_SUCCESS) {
    failed_ = true;
    if (!first) first = failed(completion);
  } else if (completion.wr_id == kReceiveId) {
    arrived.push_back(Signal::decode(ntohl(completion.imm_data)));
  } else {
    completed_ = completion.wr_id;
  }
}

// Several at once, which costs as much as one.
Status QueuePair::replenish(int receives) {
  used_ += receives;
  return used_ >= spare() ? post_used() : Status{};
}

// The others need those that are shared in any case; a queue pair that has failed would only flush its own, again and again.
Status QueuePair::post_used() {
  int receives = std::exchange(used_, 0);
  if (receives == 0) return {};
  if (shares_receives_) return device_->replenish(receives);
  if (failed_) return {};
  const auto post = [this](ibv_recv_wr* chain, ibv_recv_wr** bad) { return ibv_post_recv(pair_, chain, bad); };
  if (const int error = post_empty_receives(receives, post); error != 0) return failed(error, "posting receive requests");
  return {};
}

void QueuePair::begin_wait(WaitSet& set) {
  (void)ibv_req_notify_cq(completions_, 0);  // fails only for a device that has gone, which polling finds out
  set.fds.push_back({channel_->fd, POLLIN, 0});
}

void QueuePair::end_wait() {
  if (channel_ == nullptr || completions_ == nullptr) return;
  unsigned events = 0;
  ibv_cq* which = nullptr;
  void* user = nullptr;
  while (device_->library().next_event(channel_, &which, &user) == 0) ++events;
  if (events > 0) device_->library().acknowledge_events(completions_, events);
}

std::size_t QueuePair::memory_bytes() const noexcept {
  constexpr std::size_t kOfSend = 256, kOfCompletion = 64;  // about what devices take
  return sizeof *this + static_cast<std::size_t>(limits_.sends) * (sizeof(Sent) + kOfSend) +
         static_cast<std::size_t>(limits_.sends + receives()) * kOfCompletion;
}

}  // namespace tutti::verbs
