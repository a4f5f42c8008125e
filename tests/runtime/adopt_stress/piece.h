// The memory of one buffer of one rank: of several kinds, with what programs do to each of them.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "random.h"
#include "tutti/memory.h"

namespace tutti::stress {

using Words = std::span<std::uint32_t>;

class Piece {
 public:
  virtual ~Piece() = default;
  [[nodiscard]] Words words() const noexcept { return words_; }
  // Whether a child that is made by fork() gets a copy.
  [[nodiscard]] virtual bool is_copied_by_fork() const { return true; }
  // As many words as both sizes have are kept. From which word on the system promises zeros.
  virtual std::size_t resize(std::size_t words) = 0;
  // Frees it, and has other memory at the same address where that can be. Whether it holds zeros.
  virtual bool replace() = 0;
  // Makes these words zero; where they cover whole pages that are this buffer's alone, by one of the ways to empty pages.
  virtual void empty(Words part, Random& chance);
  // false: it shares pages with other memory.
  virtual bool protect(int /*protection*/) { return false; }

 protected:
  Words words_;
};

// Whole pages of mmap()'s.
std::unique_ptr<Piece> memory_of_pages(std::size_t words);

class PieceMaker {
 public:
  // Of a kind, and at an offset, by chance.
  std::unique_ptr<Piece> make(std::size_t words, Random& chance);

 private:
  std::shared_ptr<void> block_;  // in which small buffers lie side by side
  std::size_t used_ = 0;         // words of it
};

}  // namespace tutti::stress
