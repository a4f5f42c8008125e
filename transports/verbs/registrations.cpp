#include "transports/verbs/registrations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace tutti::verbs {
namespace {

bool contains(ConstBytes outer, ConstBytes inner) {
  return inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size();
}

}  // namespace

std::uint32_t Registrations::Use::local_key(std::size_t device) const noexcept { return entry_->keys[device]->lkey; }
std::uint32_t Registrations::Use::remote_key(std::size_t device) const noexcept { return entry_->keys[device]->rkey; }

Registrations::~Registrations() {
  for (const auto& entry : kept_) deregister(*entry);
}

std::shared_ptr<Registrations::Entry> Registrations::find(ConstBytes memory, std::optional<std::uint64_t> lifetime,
                                                          For purpose) const {
  for (const auto& entry : kept_) {
    const bool lives = entry->answered_for || (lifetime && entry->lifetime == lifetime);
    if (lives && contains(entry->memory, memory) && (entry->writable || purpose == For::reading)) return entry;
  }
  return nullptr;
}

Result<std::shared_ptr<Registrations::Entry>> Registrations::make(Bytes memory, For purpose) {
  auto entry = std::make_shared<Entry>();
  entry->memory = memory;
  entry->writable = purpose == For::writing;
  const int access = entry->writable ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
  for (const auto& device : devices_) {
    ibv_mr* key = device->library().register_memory(device->domain(), memory.data(), memory.size(), access);
    if (key == nullptr) {
      const int error = errno;
      deregister(*entry);
      return system_error(
          error, fmt::format("registering {} bytes of memory with {} (limited by ulimit -l)", memory.size(), device->name()));
    }
    entry->keys.push_back(key);
  }
  return entry;
}

Registrations::Use Registrations::started(std::shared_ptr<Entry> entry, bool keeps) {
  ++entry->uses;
  entry->last_use = ++clock_;
  return {shared_from_this(), std::move(entry), keeps};
}

Result<Registrations::Use> Registrations::use(Bytes memory, For purpose) {
  const std::lock_guard lock(mutex_);
  const auto lifetime = lifetimes_.find(memory);
  if (auto known = find(memory, lifetime, purpose)) return started(std::move(known));
  // Memory that can be kept may be written to: what is sent now may be received into later.
  auto made = make(memory, lifetime ? For::writing : purpose);
  if (!made) return std::move(made.error());
  if (lifetime && memory.size() <= limits_.bytes) {
    remove_ended();
    make_room(memory.size());
    (*made)->lifetime = lifetime;
    kept_.push_back(*made);
    kept_bytes_ += memory.size();
  }
  return started(std::move(*made));
}

Result<Registrations::Use> Registrations::keep(Bytes memory) {
  const std::lock_guard lock(mutex_);
  auto made = make(memory, For::writing);
  if (!made) made = make(memory, For::reading);
  if (!made) return std::move(made.error());
  (*made)->answered_for = true;
  kept_.push_back(*made);
  kept_bytes_ += memory.size();
  return started(std::move(*made), true);
}

bool Registrations::cheap(ConstBytes memory) const {
  const std::lock_guard lock(mutex_);
  const auto lifetime = lifetimes_.find(memory);
  return lifetime.has_value() || find(memory, lifetime, For::writing) != nullptr;
}

std::size_t Registrations::entries() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

void Registrations::release(const std::shared_ptr<Entry>& entry, bool kept) {
  const std::lock_guard lock(mutex_);
  --entry->uses;
  const auto place = std::ranges::find(kept_, entry);
  if (place == kept_.end()) {
    if (entry->uses == 0) deregister(*entry);
  } else if (kept) {
    remove(static_cast<std::size_t>(place - kept_.begin()));  // whoever else uses it still can
  }
}

void Registrations::remove(std::size_t index) {
  std::swap(kept_[index], kept_.back());
  const auto entry = std::move(kept_.back());
  kept_.pop_back();
  kept_bytes_ -= entry->memory.size();
  if (entry->uses == 0) deregister(*entry);  // else with its last use
}

void Registrations::remove_ended() {
  std::unordered_set<std::uint64_t> numbers;
  for (const auto& entry : kept_)
    if (entry->lifetime) numbers.insert(*entry->lifetime);
  lifetimes_.keep_existing(numbers);
  for (std::size_t i = kept_.size(); i-- > 0;)
    if (kept_[i]->lifetime && !numbers.contains(*kept_[i]->lifetime)) remove(i);
}

// Those go that were not used for longest. What is in use cannot go.
void Registrations::make_room(std::size_t bytes) {
  while (kept_.size() >= limits_.entries || kept_bytes_ + bytes > limits_.bytes) {
    std::size_t oldest = kept_.size();
    for (std::size_t i = 0; i < kept_.size(); ++i)
      if (kept_[i]->uses == 0 && (oldest == kept_.size() || kept_[i]->last_use < kept_[oldest]->last_use)) oldest = i;
    if (oldest == kept_.size()) return;
    remove(oldest);
  }
}

void Registrations::deregister(Entry& entry) {
  for (std::size_t i = 0; i < entry.keys.size(); ++i) (void)devices_[i]->library().deregister_memory(entry.keys[i]);
  entry.keys.clear();
}

}  // namespace tutti::verbs
