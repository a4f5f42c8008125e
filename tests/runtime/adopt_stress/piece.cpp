#include "piece.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <tuple>

namespace tutti::stress {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kBlockWords = std::size_t{1} << 19;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }
std::byte* up_to_page(void* at) { return static_cast<std::byte*>(at) + (-reinterpret_cast<std::uintptr_t>(at)) % kPage; }
std::byte* down_to_page(void* at) { return static_cast<std::byte*>(at) - reinterpret_cast<std::uintptr_t>(at) % kPage; }

template <class T>
T* need(T* memory) {
  if (memory == nullptr || static_cast<void*>(memory) == MAP_FAILED) throw std::bad_alloc();
  return memory;
}
Words words_at(void* memory, std::size_t count) { return {static_cast<std::uint32_t*>(memory), count}; }

// What malloc and realloc give.
class OfHeap : public Piece {
 public:
  explicit OfHeap(std::size_t words) { words_ = words_at(need(std::malloc(words * 4)), words); }
  ~OfHeap() override { std::free(words_.data()); }
  std::size_t resize(std::size_t words) override {
    words_ = words_at(need(std::realloc(words_.data(), words * 4)), words);
    return words;
  }
  bool replace() override {
    const std::size_t words = words_.size();
    std::free(words_.data());
    words_ = words_at(need(std::calloc(words, 4)), words);
    return true;
  }
};

// Somewhere in memory that knows how to free itself; made anew by `Make`(words), which returns both.
template <class Make>
class Within : public Piece {
 public:
  Within(std::size_t words, Make make) : make_(make) { std::tie(owner_, words_) = make_(words); }
  std::size_t resize(std::size_t words) override {
    auto [owner, fresh] = make_(words);
    std::copy_n(words_.begin(), std::min(words, words_.size()), fresh.begin());
    owner_ = std::move(owner);
    words_ = fresh;
    return words;
  }
  bool replace() override {
    owner_.reset();
    std::tie(owner_, words_) = make_(words_.size());
    return false;
  }

 private:
  Make make_;
  std::shared_ptr<void> owner_;
};

class OfTutti : public Piece {
 public:
  explicit OfTutti(std::size_t words) { take(words); }
  [[nodiscard]] bool is_copied_by_fork() const override { return false; }
  std::size_t resize(std::size_t words) override {
    const Memory before = std::move(memory_);
    const Words old = words_;
    take(words);
    std::copy_n(old.begin(), std::min(words, old.size()), words_.begin());
    return std::min(words, old.size());
  }
  bool replace() override {
    memory_ = Memory();
    take(words_.size());
    return true;
  }

 private:
  void take(std::size_t words) {
    memory_ = allocate(words * 4).value_or_throw();
    words_ = memory_.as<std::uint32_t>().first(words);
  }
  Memory memory_;
};

// Pages of its own, in which it begins anywhere.
class OfMmap : public Piece {
 public:
  OfMmap(std::size_t words, std::size_t offset_bytes, bool huge) : offset_(offset_bytes), huge_(huge) {
    map(nullptr, pages_for(words), 0);
    place(words);
  }
  ~OfMmap() override { munmap(base_, size_); }
  std::size_t resize(std::size_t words) override {
    const std::size_t size = pages_for(words), old_size = std::exchange(size_, size);
    void* moved = mremap(base_, old_size, size, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {  // it is no longer one mapping
      std::byte* const old = base_;
      map(nullptr, size, 0);
      std::copy_n(old, std::min(old_size, size), base_);
      munmap(old, old_size);
    } else {
      base_ = static_cast<std::byte*>(moved);
    }
    place(words);
    return old_size < size ? (old_size - offset_) / 4 : words;
  }
  bool replace() override {
    if (huge_) forbid({base_, size_});  // else in one step
    map(base_, size_, MAP_FIXED);
    return true;
  }
  void empty(Words part, Random& chance) override {
    auto* const begin = std::max(up_to_page(part.data()), base_);
    std::byte* const end = down_to_page(part.data() + part.size());
    if (begin < end) empty_pages({begin, end}, chance.below(5));
    for (std::uint32_t& word : part)
      if (auto* at = reinterpret_cast<std::byte*>(&word); at < begin || at >= end) word = 0;
  }
  bool protect(int protection) override { return mprotect(base_, size_, protection) == 0; }

 private:
  [[nodiscard]] std::size_t pages_for(std::size_t words) const { return round_up(offset_ + words * 4, kPage); }
  void place(std::size_t words) { words_ = words_at(base_ + offset_, words); }
  void map(void* where, std::size_t size, int flags) {
    base_ = static_cast<std::byte*>(need(mmap(where, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0)));
    size_ = size;
    if (huge_) madvise(base_, size, MADV_HUGEPAGE);
  }
  // As munmap() does, but no other thread is given the place.
  static void forbid(std::span<std::byte> pages) {
    need(mmap(pages.data(), pages.size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
  }
  static void empty_pages(std::span<std::byte> pages, std::size_t way) {
    if (way < 2) {
      need(madvise(pages.data(), pages.size(), MADV_DONTNEED) == 0 ? pages.data() : nullptr);
    } else if (way == 2) {  // which may, or may not, empty them later
      need(madvise(pages.data(), pages.size(), MADV_FREE) == 0 ? pages.data() : nullptr);
      std::ranges::fill(pages, std::byte{0});
    } else {
      if (way == 3) forbid(pages);
      need(mmap(pages.data(), pages.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    }
  }
  std::byte* base_ = nullptr;
  std::size_t size_ = 0, offset_;
  bool huge_;
};

template <class Make>
std::unique_ptr<Piece> within(std::size_t words, Make make) {
  return std::make_unique<Within<Make>>(words, make);
}

}  // namespace

void Piece::empty(Words part, Random& /*chance*/) { std::ranges::fill(part, 0U); }

std::unique_ptr<Piece> memory_of_pages(std::size_t words) { return std::make_unique<OfMmap>(words, 0, false); }

std::unique_ptr<Piece> PieceMaker::make(std::size_t words, Random& chance) {
  const std::size_t offset = chance.percent(40) ? 0 : 4 * chance.below(kPage / 4);
  switch (words < kBlockWords / 16 ? chance.below(8) : chance.below(6)) {
    case 0:
      return std::make_unique<OfHeap>(words);
    case 1:
      return within(words, [offset](std::size_t count) {
        const std::shared_ptr<void> owner(need(std::aligned_alloc(kPage, round_up(offset + count * 4, kPage))), std::free);
        return std::pair(owner, words_at(static_cast<std::byte*>(owner.get()) + offset, count));
      });
    case 2:
    case 3:
      return std::make_unique<OfMmap>(words, offset, false);
    case 4:
      return std::make_unique<OfMmap>(words, offset, true);
    case 5:
      return std::make_unique<OfTutti>(words);
    default:
      return within(words, [this](std::size_t count) {
        if (block_ == nullptr || used_ + count > kBlockWords) {
          block_ = {need(std::malloc(std::max(count, kBlockWords) * 4)), std::free};
          used_ = 0;
        }
        return std::pair(block_,
                         words_at(static_cast<std::uint32_t*>(block_.get()) + std::exchange(used_, used_ + count), count));
      });
  }
}

}  // namespace tutti::stress
