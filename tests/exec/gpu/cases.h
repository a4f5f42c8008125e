// Rows of the table on shapes that bring out what they do; and what their calls read and give.
#pragma once

#include <memory>
#include <numeric>
#include <set>

#include "catalog/catalog.h"
#include "catalog/machines.h"
#include "gpu/pieces.h"
#include "kernels/kernels.h"
#include "schedule/passes.h"

namespace tutti::gpu {

enum class InPlace : std::uint8_t { none, all, every_second };

struct Case {
  const Algorithm* row = nullptr;
  Rank ranks = 1;
  Rank root = 0;
  Chunking chunking;
  InPlace in_place = InPlace::none;
  std::shared_ptr<const Machine> machine;
  std::shared_ptr<const MadeUpRoutes> routes;
  std::vector<Rank> torus;

  [[nodiscard]] bool is_in_place(Rank r) const {
    return in_place == InPlace::all || (in_place == InPlace::every_second && r % 2 == 1);
  }
  [[nodiscard]] Shape shape(bool inside) const {
    return {.ranks = ranks,
            .root = root,
            .in_place = inside,
            .levels = machine ? &machine->levels : nullptr,
            .routes = routes ? &routes->routes : nullptr,
            .torus = torus};
  }
  [[nodiscard]] Schedule schedule(Rank r) const { return fuse(row->build(r, shape(is_in_place(r)), chunking)); }
  [[nodiscard]] CollectiveCall call(std::uint64_t count, DataType type = DataType::i32, ReduceOp op = {}) const {
    return {.collective = row->collective,
            .ranks = ranks,
            .count = row->collective == Collective::barrier ? 0 : count,
            .type = type,
            .op = op,
            .root = root,
            .meets_at_once = row->meets_at_once,
            .build = [c = *this](Rank r) { return fuse(c.row->build(r, c.shape(false), c.chunking)); }};
  }
  [[nodiscard]] std::string text() const {
    return std::string(name(row->collective)) + " " + std::string(row->name) + ", ranks " + std::to_string(ranks) + ", root " +
           std::to_string(root) + ", chunks " + std::to_string(chunking.pieces) + ", radix " + std::to_string(chunking.radix) +
           ", in place " + std::to_string(static_cast<int>(in_place)) + (machine ? ", " + machine->name : "") +
           (routes ? ", " + routes->name : "");
  }
};

// With `all`: every root and machine; else a few.
inline std::vector<Case> cases(const Algorithm& row, Rank ranks, bool all) {
  if (!applies(row, ranks)) return {};
  std::set<Rank> roots{0};
  if (has_root(row.collective)) roots = all ? std::set<Rank>{0, 1 % ranks, ranks / 2, ranks - 1} : std::set<Rank>{ranks - 1};
  std::vector<std::shared_ptr<const Machine>> machines;
  if (row.needs.levels)
    for (const Machine& m : made_up_machines(ranks)) machines.push_back(std::make_shared<Machine>(m));
  else
    machines.push_back(nullptr);
  std::vector<std::shared_ptr<const MadeUpRoutes>> routes;
  if (row.needs.routes != RouteKind::none)
    for (const MadeUpRoutes& r : made_up_routes(ranks)) routes.push_back(std::make_shared<MadeUpRoutes>(r));
  else
    routes.push_back(nullptr);
  std::vector<std::vector<Rank>> tori{{}};
  if (row.uses_torus)
    for (const auto& t : made_up_tori(ranks)) tori.push_back(t);
  if (!all) machines.resize(1), routes.resize(1), tori.resize(1);
  std::set<Chunking> chunkings{{}};
  if (row.pipelines) chunkings.insert({.pieces = 3});
  if (row.has_radix && ranks > 2) chunkings.insert({.pieces = 1, .radix = std::min(4U, static_cast<std::uint32_t>(ranks))});
  std::vector<Case> found;
  for (const Rank root : roots)
    for (const auto& machine : machines)
      for (const auto& some : routes)
        for (const auto& torus : tori)
          for (const Chunking& chunking : chunkings)
            for (const InPlace in_place : {InPlace::none, InPlace::all, InPlace::every_second}) {
              Case c{&row, ranks, root, chunking, in_place, machine, some, torus};
              if (!row.refuses || row.refuses(c.shape(false)).empty()) found.push_back(std::move(c));
            }
  return found;
}

// The elements of all ranks' calls: what is read, and what must come out.
class Values {
 public:
  Values(const Case& c, std::uint64_t count, DataType type = DataType::i32, ReduceOp op = {}, unsigned seed = 0)
      : c_(c), count_(c.row->collective == Collective::barrier ? 0 : count), type_(type), op_(op), size_(size_of(type)) {
    for (Rank r = 0; r < c.ranks; ++r) {
      std::vector<std::byte> in(blocks(true) * count_ * size_);
      for (std::size_t i = 0; i < in.size(); ++i) in[i] = byte(r, i, seed);
      inputs_.push_back(std::move(in));
    }
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t block_bytes() const { return count_ * size_; }
  [[nodiscard]] const std::vector<std::byte>& input(Rank r) const { return inputs_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] bool reads(Rank r) const {
    return (c_.row->collective != Collective::broadcast && c_.row->collective != Collective::scatter) || r == c_.root;
  }
  [[nodiscard]] bool writes(Rank r) const {
    if (c_.row->collective == Collective::barrier || (c_.row->collective == Collective::exscan && r == 0)) return false;
    return (c_.row->collective != Collective::reduce && c_.row->collective != Collective::gather) || r == c_.root;
  }
  // One block of memory holds both buffers of a rank; where they start in it, and its size.
  struct Place {
    std::uint64_t input = 0, output = 0, size = 0;
  };
  [[nodiscard]] Place place(Rank r) const {
    const std::uint64_t in = blocks(true) * block_bytes(), out = blocks(false) * block_bytes();
    if (!c_.is_in_place(r)) return {0, in, in + out};
    const std::uint64_t at = static_cast<std::uint64_t>(r) * block_bytes();
    if (out > in && writes(r)) return {at, 0, out};
    if (in > out && reads(r)) return {0, at, in};
    return {0, 0, std::max(in, out)};
  }
  [[nodiscard]] std::vector<std::byte> expected(Rank me) const {
    std::vector<std::byte> out(blocks(false) * block_bytes());
    const auto p = static_cast<std::size_t>(c_.ranks);
    const auto block = [&](std::size_t from, std::size_t b, std::size_t to) {
      std::copy_n(inputs_[from].begin() + static_cast<std::ptrdiff_t>(b * block_bytes()), block_bytes(),
                  out.begin() + static_cast<std::ptrdiff_t>(to * block_bytes()));
    };
    const auto rank = static_cast<std::size_t>(me), root = static_cast<std::size_t>(c_.root);
    switch (c_.row->collective) {
      case Collective::all_reduce:
      case Collective::reduce:
        return folded(0, p, 0);
      case Collective::scan:
        return folded(0, rank + 1, 0);
      case Collective::exscan:
        return folded(0, rank, 0);
      case Collective::reduce_scatter:
        return folded(0, p, rank);
      case Collective::broadcast:
        block(root, 0, 0);
        break;
      case Collective::scatter:
        block(root, rank, 0);
        break;
      case Collective::all_gather:
      case Collective::gather:
        for (std::size_t r = 0; r < p; ++r) block(r, 0, r);
        break;
      case Collective::all_to_all:
        for (std::size_t r = 0; r < p; ++r) block(r, rank, r);
        break;
      case Collective::barrier:
      case Collective::send_recv:
        break;
    }
    return out;
  }

 private:
  [[nodiscard]] std::size_t blocks(bool input) const {
    return input ? input_chunks(c_.row->collective, c_.ranks, 1) : output_chunks(c_.row->collective, c_.ranks, 1);
  }
  // Small numbers of every type: integers 0 to 6, floats 0.5 to 3.
  [[nodiscard]] std::byte byte(Rank r, std::size_t i, unsigned seed) const {
    const auto value = static_cast<unsigned>((static_cast<std::size_t>(r) * 5 + i / size_ * 3 + seed) % 7);
    const std::size_t at = i % size_;
    const auto part = [&](auto v) { return reinterpret_cast<const std::byte*>(&v)[at % sizeof v]; };
    const float f = 0.5F * static_cast<float>(1 + value % 6);
    switch (type_) {
      case DataType::f32:
      case DataType::c64:
        return part(f);
      case DataType::f64:
      case DataType::c128:
        return part(static_cast<double>(f));
      case DataType::f16:
        return part(static_cast<std::uint16_t>(0x3800 + value * 0x80));
      case DataType::bf16:
        return part(static_cast<std::uint16_t>(0x3f00 + value * 0x10));
      case DataType::f8e4m3:
        return static_cast<std::byte>(0x30 + value);
      case DataType::f8e5m2:
        return static_cast<std::byte>(0x38 + value);
      case DataType::boolean:
        return static_cast<std::byte>(value % 2);
      default:
        return at == 0 ? static_cast<std::byte>(value) : std::byte{0};
    }
  }
  // Of ranks [from, to), as if all met at once.
  [[nodiscard]] std::vector<std::byte> folded(std::size_t from, std::size_t to, std::size_t block) const {
    std::vector<std::vector<std::byte>> scaled;
    std::vector<const void*> operands;
    for (std::size_t r = from; r < to; ++r) {
      const auto begin = inputs_[r].begin() + static_cast<std::ptrdiff_t>(block * block_bytes());
      scaled.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(block_bytes()));
      if (op_.kind == ReduceKind::premul_sum) kernels::prepare(op_, type_, scaled.back().data(), scaled.back().data(), count_);
    }
    for (const auto& s : scaled) operands.push_back(s.data());
    std::vector<std::byte> out(block_bytes());
    if (operands.empty()) return out;
    kernels::fold(op_, type_, operands, out.data(), count_, {.average_over = op_.kind == ReduceKind::avg ? c_.ranks : 0});
    return out;
  }

  Case c_;
  std::uint64_t count_;
  DataType type_;
  ReduceOp op_;
  std::size_t size_;
  std::vector<std::vector<std::byte>> inputs_;
};

}  // namespace tutti::gpu
