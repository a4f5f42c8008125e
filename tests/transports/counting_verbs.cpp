#include "tests/transports/counting_verbs.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace tutti::verbs {
namespace {

// Plain functions stand in the tables, so that what they need cannot be a member of anything.
struct State {
  std::mutex mutex;  // guards all of it
  VerbsCounts counts;
  Library real;
  std::unordered_map<ibv_context*, ibv_context_ops> drivers;  // of opened devices
  std::unordered_set<std::uint32_t> rings;                    // keys of memory that this rank alone writes to
};
State& state() {
  static State state;
  return state;
}

const ibv_context_ops& driver(ibv_context* context) { return state().drivers.at(context); }

int post_send(ibv_qp* pair, ibv_send_wr* requests, ibv_send_wr** bad) {
  const std::lock_guard lock(state().mutex);
  VerbsCounts& counts = state().counts;
  ++counts.doorbells;
  for (const ibv_send_wr* request = requests; request != nullptr; request = request->next) {
    ++counts.requests;
    counts.reported += (request->send_flags & IBV_SEND_SIGNALED) != 0 ? 1 : 0;
    for (int i = 0; i < request->num_sge; ++i) {
      const ibv_sge& memory = request->sg_list[i];
      counts.bytes += memory.length;
      if ((request->send_flags & IBV_SEND_INLINE) != 0) counts.inline_bytes += memory.length;
      if (state().rings.contains(memory.lkey)) counts.copied += memory.length;
    }
  }
  return driver(pair->context).post_send(pair, requests, bad);
}

int poll_completions(ibv_cq* queue, int most, ibv_wc* completions) {
  const std::lock_guard lock(state().mutex);
  const int found = driver(queue->context).poll_cq(queue, most, completions);
  ++state().counts.polls;
  state().counts.completions += static_cast<std::uint64_t>(std::max(found, 0));
  return found;
}

void count_receives(const ibv_recv_wr* requests) {
  for (; requests != nullptr; requests = requests->next) ++state().counts.receives;
}
int post_receive(ibv_qp* pair, ibv_recv_wr* requests, ibv_recv_wr** bad) {
  const std::lock_guard lock(state().mutex);
  count_receives(requests);
  return driver(pair->context).post_recv(pair, requests, bad);
}
int post_shared_receive(ibv_srq* queue, ibv_recv_wr* requests, ibv_recv_wr** bad) {
  const std::lock_guard lock(state().mutex);
  count_receives(requests);
  return driver(queue->context).post_srq_recv(queue, requests, bad);
}

ibv_context* open_device(ibv_device* device) {
  ibv_context* context = state().real.open_device(device);
  if (context == nullptr) return nullptr;
  const std::lock_guard lock(state().mutex);
  state().drivers[context] = context->ops;
  context->ops.post_send = post_send;
  context->ops.poll_cq = poll_completions;
  context->ops.post_recv = post_receive;
  context->ops.post_srq_recv = post_shared_receive;
  return context;
}

ibv_mr* register_memory(ibv_pd* domain, void* memory, std::size_t bytes, int access) {
  ibv_mr* key = state().real.register_memory(domain, memory, bytes, access);
  if (key == nullptr) return nullptr;
  const std::lock_guard lock(state().mutex);
  state().counts.registered += static_cast<std::int64_t>(bytes);
  ++state().counts.registrations;
  if (access == IBV_ACCESS_LOCAL_WRITE) state().rings.insert(key->lkey);
  return key;
}

int deregister_memory(ibv_mr* key) {
  {
    const std::lock_guard lock(state().mutex);
    state().counts.registered -= static_cast<std::int64_t>(key->length);
    state().rings.erase(key->lkey);
  }
  return state().real.deregister_memory(key);
}

}  // namespace

VerbsCounts& VerbsCounts::operator+=(const VerbsCounts& other) noexcept {
  requests += other.requests;
  doorbells += other.doorbells;
  reported += other.reported;
  bytes += other.bytes;
  inline_bytes += other.inline_bytes;
  copied += other.copied;
  receives += other.receives;
  polls += other.polls;
  completions += other.completions;
  registered += other.registered;
  registrations += other.registrations;
  return *this;
}

VerbsCounts& VerbsCounts::operator-=(const VerbsCounts& other) noexcept {
  requests -= other.requests;
  doorbells -= other.doorbells;
  reported -= other.reported;
  bytes -= other.bytes;
  inline_bytes -= other.inline_bytes;
  copied -= other.copied;
  receives -= other.receives;
  polls -= other.polls;
  completions -= other.completions;
  registered -= other.registered;
  registrations -= other.registrations;
  return *this;
}

VerbsCounts verbs_counts() noexcept {
  const std::lock_guard lock(state().mutex);
  return state().counts;
}

Result<Library> load_counting_library() {
  auto loaded = load_library();
  if (!loaded) return loaded;
  state().real = *loaded;
  loaded->open_device = open_device;
  loaded->register_memory = register_memory;
  loaded->deregister_memory = deregister_memory;
  return loaded;
}

}  // namespace tutti::verbs
