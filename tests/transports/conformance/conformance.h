// What every transport must do, as one test suite. A transport joins by a file that says
//
//   INSTANTIATE_TEST_SUITE_P(tcp, TransportConformance, testing::ValuesIn(cases({"tcp", make_tcp})), case_name);
//
// and that is linked with conformance.cpp and world.cpp. Each test runs its ranks as threads and as forked processes, from the
// same body.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tutti/transport.h"

namespace tutti::conformance {

struct TransportFactory {
  std::string name;
  std::function<std::unique_ptr<Transport>(const TransportOptions&)> make;
  bool threads = true;
  bool processes = true;
  // Opens a stream socket to a listening address, as a stranger would; empty where the transport has no such socket.
  std::function<int(ConstBytes address)> dial = {};
  bool mapped = false;     // most messages lie in memory of tutti::allocate()
  LinkTuning tuning = {};  // of even ranks; the two sides of a connection need not agree
};

struct Case {
  TransportFactory factory;
  bool processes = false;
};

inline void PrintTo(const Case& c, std::ostream* out) { *out << c.factory.name << (c.processes ? " processes" : " threads"); }

// One case per way to run the ranks.
[[nodiscard]] std::vector<Case> cases(const TransportFactory& factory);
// "shm_threads", "shm_processes"
[[nodiscard]] std::string case_name(const testing::TestParamInfo<Case>& info);

class TransportConformance : public testing::TestWithParam<Case> {};

}  // namespace tutti::conformance
