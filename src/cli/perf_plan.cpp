#include "cli/perf_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/sizes.h"
#include "core/config.h"

namespace tutti {
namespace {

constexpr std::size_t kMostSizes = 10000;

template <class... Args>
Error bad(fmt::format_string<Args...> format, Args&&... args) {
  return {Code::invalid_argument, fmt::format(format, std::forward<Args>(args)...)};
}

template <class T>
std::string names_of_first(int count) {
  std::string names;
  for (int i = 0; i < count; ++i) names += fmt::format("{}{}", i > 0 ? ", " : "", name(static_cast<T>(i)));
  return names;
}

Result<std::vector<Collective>> collectives_from(std::string_view text) {
  std::vector<Collective> chosen;
  for (int c = 0; c < kCollectives; ++c)
    if (const auto one = static_cast<Collective>(c); text == "all" || parse_collective(text) == one) chosen.push_back(one);
  if (!chosen.empty()) return chosen;
  if (text.empty()) return bad("which collective? {}, or all: tutti perf all_reduce", known_collectives());
  return bad("there is no collective \"{}\"; there are {}, all", text, known_collectives());
}

Result<std::vector<std::uint64_t>> sizes_from(const PerfOptions& o, DataType type) {
  auto least = parse_bytes(o.min_bytes), most = parse_bytes(o.max_bytes);
  if (!least) return least.because("--min-bytes");
  if (!most) return most.because("--max-bytes");
  const std::uint64_t element = size_of(type);
  if (*least > *most) return bad("--min-bytes {} is more than --max-bytes {}", o.min_bytes, o.max_bytes);
  if (*least % element != 0) return bad("--min-bytes {} is not a multiple of {}, the size of {}", *least, element, name(type));
  if (!(o.factor > 1)) return bad("--factor {}: must be more than 1", o.factor);
  std::vector<std::uint64_t> sizes{*least};
  for (;;) {
    const double next = static_cast<double>(sizes.back()) * o.factor;
    if (!(next < 0x1p64)) return sizes;
    const std::uint64_t size = std::max(static_cast<std::uint64_t>(next) / element, sizes.back() / element + 1) * element;
    if (size > *most || size < sizes.back()) return sizes;
    if (sizes.size() == kMostSizes) return bad("--factor {} makes more than {} sizes", o.factor, kMostSizes);
    sizes.push_back(size);
  }
}

Result<ReduceOp> op_from(std::string_view text, DataType type) {
  const auto kind = parse_reduce_kind(text);
  if (!kind || *kind == ReduceKind::user) return bad("--op \"{}\" is not an operator; there are {}", text, known_operators());
  if (!supports(*kind, type)) return bad("--op {} is not defined for --type {}", text, name(type));
  return ReduceOp{.kind = *kind, .scalar = *kind == ReduceKind::premul_sum ? 2.0 : 1.0, .user = {}};
}

}  // namespace

std::string known_collectives() { return names_of_first<Collective>(kCollectives); }
std::string known_types() { return names_of_first<DataType>(kDataTypes); }
std::string known_operators() { return names_of_first<ReduceKind>(static_cast<int>(ReduceKind::user)); }

PerfCase PerfPlan::at(Collective collective, std::uint64_t size, Rank me, Rank ranks) const {
  const std::uint64_t elements = collective == Collective::barrier ? 0 : size / size_of(type);
  const std::uint64_t blocks = has_blocks(collective) ? static_cast<std::uint64_t>(ranks) : 1;
  return {.collective = collective,
          .type = type,
          .op = op,
          .root = has_root(collective) ? root : 0,
          .count = elements == 0 ? 0 : std::max<std::uint64_t>(1, elements / blocks),
          .me = me,
          .ranks = ranks};
}

Result<PerfPlan> make_plan(const PerfOptions& o) {
  auto collectives = collectives_from(o.collective);
  if (!collectives) return std::move(collectives.error());
  const auto type = parse_data_type(o.type);
  if (!type) return bad("--type \"{}\" is not a type; there are {}", o.type, known_types());
  auto op = op_from(o.op, *type);
  if (!op) return std::move(op.error());
  auto sizes = sizes_from(o, *type);
  if (!sizes) return std::move(sizes.error());
  if (o.iterations < 1) return bad("--iterations {}: must be at least 1", o.iterations);
  if (o.warmup < 0) return bad("--warmup {}: must be at least 0", o.warmup);
  auto device = parse_device(o.device);
  if (!device) return std::move(device.error());
  if (o.graph && !device->cuda) return bad("--graph: only calls on a device make a graph; add --device cuda");
  if (o.root < 0) return bad("--root {}: ranks count from 0", o.root);
  return PerfPlan{.collectives = std::move(*collectives),
                  .sizes = std::move(*sizes),
                  .type = *type,
                  .op = *op,
                  .root = o.root,
                  .iterations = o.iterations,
                  .warmup = o.warmup,
                  .check = o.check,
                  .out_of_place = !o.in_place_only,
                  .in_place = !o.out_of_place_only,
                  .graph = o.graph,
                  .device = *device,
                  .algorithm = o.algorithm,
                  .filter = o.filter,
                  .contract = o.contract};
}

}  // namespace tutti
