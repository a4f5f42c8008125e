// Hosts made of files: a folder that looks like the root of a machine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "doctor/checks.h"

namespace tutti::doctor::test {

class Tree {
 public:
  Tree() : folder_(make_folder()), system(folder_) {}
  ~Tree() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  Tree& write(const std::string& file, const std::string& content) {
    std::filesystem::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file, std::ios::binary) << content;
    return *this;
  }
  Tree& folder(const std::string& path) {
    std::filesystem::create_directories(folder_ / path);
    return *this;
  }
  Tree& described(const std::string& spec) {
    system.topology = load_topology(spec).value_or_throw();
    return *this;
  }
  Tree& interface(const std::string& name, const std::string& address, bool up = true) {
    system.addresses.push_back({name, SocketAddress::parse(address).value_or_throw(), up, up, name == "lo"});
    return *this;
  }

 private:
  static std::filesystem::path make_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tutti-doctor-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  std::filesystem::path folder_;

 public:
  System system;
};

inline auto is(Severity severity, const std::string& part_of_found) {
  return testing::AllOf(testing::Field(&Finding::severity, severity),
                        testing::Field(&Finding::found, testing::HasSubstr(part_of_found)));
}
// One finding, and what it must say.
inline auto only(Severity severity, const std::string& part_of_found) {
  return testing::ElementsAre(is(severity, part_of_found));
}

}  // namespace tutti::doctor::test
