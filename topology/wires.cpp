#include "topology/wires.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace tutti {
namespace {

template <class Key>
double look_up(std::span<const std::pair<Key, double>> table, Key key) {
  const auto found = std::ranges::find(table, key, &std::pair<Key, double>::first);
  return found == table.end() ? 0 : found->second;
}

}  // namespace

double pcie_gbps(double gigatransfers, int lanes) {
  if (!(gigatransfers > 0) || gigatransfers > 1000 || lanes < 1 || lanes > 32) return 0;
  // 8 of 10 bits at first, then 128 of 130; from 64 GT/s on, 236 of the 256 bytes of a flit.
  const double share = gigatransfers <= 5 ? 8.0 / 10 : (gigatransfers <= 32 ? 128.0 / 130 : 236.0 / 256);
  return gigatransfers / 8 * share * lanes;
}

double nvlink_gbps(int generation) {
  static constexpr std::array<std::pair<int, double>, 5> kGenerations = {{{1, 20}, {2, 25}, {3, 25}, {4, 25}, {5, 50}}};
  return look_up<int>(kGenerations, generation);
}

double nvlink_gbps_of_capability(int capability) {
  if (capability == 86) return 14.0625;  // the bridges of A40 and its kin: 112.5 GB/s over four links, both directions together
  if (capability < 60) return 0;
  if (capability < 70) return nvlink_gbps(1);
  if (capability < 80) return nvlink_gbps(2);
  if (capability < 90) return nvlink_gbps(3);
  return capability < 100 ? nvlink_gbps(4) : nvlink_gbps(5);
}

double xgmi_gbps(std::string_view architecture) {
  static constexpr std::array<std::pair<std::string_view, double>, 8> kArchitectures = {
      {{"906", 46}, {"908", 46}, {"90a", 50}, {"910", 50}, {"940", 64}, {"941", 64}, {"942", 64}, {"950", 76.8}}};
  if (architecture.starts_with("gfx")) architecture.remove_prefix(3);
  return look_up<std::string_view>(kArchitectures, architecture.substr(0, architecture.find(':')));  // "gfx90a:sramecc+:xnack-"
}

double usual_gbps(LinkKind kind) {
  switch (kind) {
    case LinkKind::nvlink:
      return nvlink_gbps(4);
    case LinkKind::xgmi:
      return xgmi_gbps("90a");
    case LinkKind::memory:
      return 20.8;
    case LinkKind::pcie:
      return 12;
    case LinkKind::network:
      return kNetworkGbps;
  }
  return kNetworkGbps;
}

}  // namespace tutti
