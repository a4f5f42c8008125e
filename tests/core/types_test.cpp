#include "tutti/types.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tutti {
namespace {

template <class Enum>
std::vector<Enum> all(int count) {
  std::vector<Enum> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<Enum>(i));
  return values;
}
const auto kTypes = all<DataType>(kDataTypes);
const auto kKinds = all<ReduceKind>(kReduceKinds);
const auto kCalls = all<Collective>(kCollectives);

TEST(Names, AreDistinctAndParseBack) {
  std::set<std::string_view> types, kinds, collectives;
  for (const DataType t : kTypes) {
    EXPECT_EQ(parse_data_type(name(t)), t) << name(t);
    types.insert(name(t));
  }
  for (const ReduceKind k : kKinds) {
    EXPECT_EQ(parse_reduce_kind(name(k)), k) << name(k);
    kinds.insert(name(k));
  }
  for (const Collective c : kCalls) {
    EXPECT_EQ(parse_collective(name(c)), c) << name(c);
    collectives.insert(name(c));
  }
  EXPECT_EQ(types.size(), kTypes.size());
  EXPECT_EQ(kinds.size(), kKinds.size());
  EXPECT_EQ(collectives.size(), kCalls.size());
}

TEST(Names, AliasesAndStrangers) {
  EXPECT_EQ(parse_data_type("float"), DataType::f32);
  EXPECT_EQ(parse_data_type("half"), DataType::f16);
  EXPECT_EQ(parse_data_type("uint8"), DataType::u8);
  EXPECT_EQ(parse_data_type("bfloat16"), DataType::bf16);
  EXPECT_EQ(parse_data_type("boolean"), DataType::boolean);
  for (const auto* text : {"", "f31", "F32", "float ", "f32x"}) EXPECT_FALSE(parse_data_type(text)) << text;
  for (const auto* text : {"", "plus", "SUM", "sum "}) EXPECT_FALSE(parse_reduce_kind(text)) << text;
  for (const auto* text : {"", "allreduce", "all", "all_reduce "}) EXPECT_FALSE(parse_collective(text)) << text;
}

TEST(Types, SizesAreThoseInTheirNames) {
  for (const DataType t : kTypes) {
    if (t == DataType::boolean) {
      EXPECT_EQ(size_of(t), 1u);
      continue;
    }
    const std::string text(name(t));
    const auto digit = text.find_first_of("0123456789");
    ASSERT_NE(digit, std::string::npos) << text;
    EXPECT_EQ(size_of(t) * 8, static_cast<std::size_t>(std::stoi(text.substr(digit)))) << text;
  }
}

bool is_float(DataType t) { return t >= DataType::f16 && t <= DataType::f8e5m2; }
bool is_complex(DataType t) { return t == DataType::c64 || t == DataType::c128; }

TEST(Supports, OrderedOperatorsNeedAnOrderAndBitwiseOnesBits) {
  for (const DataType t : kTypes) {
    for (const ReduceKind k : {ReduceKind::sum, ReduceKind::prod, ReduceKind::user})
      EXPECT_TRUE(supports(k, t)) << name(k) << name(t);
    for (const ReduceKind k : {ReduceKind::min, ReduceKind::max, ReduceKind::land, ReduceKind::lor, ReduceKind::lxor})
      EXPECT_EQ(supports(k, t), !is_complex(t)) << name(k) << name(t);
    for (const ReduceKind k : {ReduceKind::band, ReduceKind::bor, ReduceKind::bxor})
      EXPECT_EQ(supports(k, t), !is_complex(t) && !is_float(t)) << name(k) << name(t);
    for (const ReduceKind k : {ReduceKind::avg, ReduceKind::premul_sum})
      EXPECT_EQ(supports(k, t), t != DataType::boolean) << name(k) << name(t);
  }
}

TEST(Collectives, RootsAndReductions) {
  const std::set<Collective> rooted{Collective::reduce, Collective::broadcast, Collective::gather, Collective::scatter};
  const std::set<Collective> reducing{Collective::all_reduce, Collective::reduce, Collective::reduce_scatter, Collective::scan,
                                      Collective::exscan};
  for (const Collective c : kCalls) {
    EXPECT_EQ(has_root(c), rooted.contains(c)) << name(c);
    EXPECT_EQ(reduces(c), reducing.contains(c)) << name(c);
  }
}

}  // namespace
}  // namespace tutti
