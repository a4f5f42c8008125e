#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "fixtures.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string reason(const std::string& source) {
  const auto topology = load_topology(source);
  EXPECT_FALSE(topology) << source;
  return topology ? "" : topology.error().to_string();
}

TEST(Load, DecidesByContent) {
  const test::TemporaryFolder folder;
  const Topology t = *load_topology("node:2 numa:2 core:4");
  folder.write("machine.anything", to_json(t));
  const auto file = load_topology((folder.path() / "machine.anything").string());
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(*file, t);
  EXPECT_EQ(*load_topology(to_json(t)), t);
  EXPECT_EQ(*load_topology(test::fixture_path("described.txt")), t);
  EXPECT_EQ(*load_topology("  node:2 numa:2 core:4\n"), t);
  folder.write("bom.xml", "\xef\xbb\xbf" + test::fixture("format1.xml"));
  EXPECT_TRUE(load_topology((folder.path() / "bom.xml").string()));
}

TEST(Load, NcclFilesAreKnownByTheirRoot) {
  const auto file = load_topology(test::fixture_path("nccl.xml"));
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(*file, *load_topology(test::fixture("nccl.xml")));
  EXPECT_THAT(reason("<graphs version=\"1\"/>"), HasSubstr("neither hwloc's (<topology>) nor NCCL's (<system>)"));
}

TEST(Load, WhatIsNoFileAndNoDescription) {
  EXPECT_THAT(reason("no_such_file.xml"), AllOf(HasSubstr("no_such_file.xml"), HasSubstr("neither a file")));
  EXPECT_THAT(reason("/no/such:folder/file"), HasSubstr("neither a file"));
  EXPECT_THAT(reason("dgx-h10"), AllOf(HasSubstr("is dgx-h100 meant?"), HasSubstr("dgx-a100"), HasSubstr("mi300x")));
  EXPECT_THAT(reason("torus"), HasSubstr("torus:4x4"));
  EXPECT_THAT(reason("rails"), HasSubstr("rails:1"));
  EXPECT_THAT(reason(""), HasSubstr("empty"));
  EXPECT_THAT(reason("   "), HasSubstr("empty"));
  EXPECT_THAT(reason(std::string("a\0b", 3)), HasSubstr("neither a file"));
  EXPECT_THAT(reason("core:two"), HasSubstr("not a number"));
  EXPECT_THAT(reason("{\"a\":1}"), HasSubstr("not a topology of tutti"));
}

TEST(Load, FilesThatCannotBeRead) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(reason(folder.path().string()), HasSubstr("not a regular file"));
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(reason(pipe), HasSubstr("not a regular file"));  // and does not wait for a writer
  folder.write("empty", "");
  EXPECT_THAT(reason((folder.path() / "empty").string()), AllOf(HasSubstr("empty'"), HasSubstr("is empty")));
  folder.write("huge", "");
  std::filesystem::resize_file(folder.path() / "huge", kMaxTopologyBytes + 1);  // a hole: takes no space
  EXPECT_THAT(reason((folder.path() / "huge").string()), HasSubstr("more than the"));
  folder.write("binary", std::string("\x7f"
                                     "ELF\0\0\1",
                                     7));
  EXPECT_THAT(reason((folder.path() / "binary").string()), HasSubstr("binary"));
}

}  // namespace
}  // namespace tutti
