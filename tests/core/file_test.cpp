#include "core/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tutti {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tutti_file_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] std::string content(const std::string& name) const { return read_file(path(name), 1000).value_or_throw(); }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

std::string reason(const Status& status) { return status ? "none" : status.error().to_string(); }

TEST_F(FileTest, IsMadeAndReplacedWhole) {
  ASSERT_TRUE(replace_file(path("a"), "first"));
  EXPECT_EQ(content("a"), "first");
  fs::permissions(path("a"), fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  std::ifstream before(path("a"));
  ASSERT_TRUE(replace_file(path("a"), "2nd"));
  EXPECT_EQ(content("a"), "2nd");
  EXPECT_EQ(fs::status(path("a")).permissions(), fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  std::string seen;
  before >> seen;
  EXPECT_EQ(seen, "first") << "who reads it meanwhile sees one or the other";
  EXPECT_EQ(files(), 1U) << "nothing is left beside it";
}

TEST_F(FileTest, ALinkStaysALink) {
  ASSERT_TRUE(replace_file(path("target"), "x"));
  fs::create_symlink("target", path("link"));
  ASSERT_TRUE(replace_file(path("link"), "y"));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(content("target"), "y");
}

TEST_F(FileTest, WhatCannotBeWrittenSaysSo) {
  for (const auto& write : {+[](const std::string& p) { return replace_file(p, "text"); }, &check_writable}) {
    EXPECT_THAT(reason(write(path("none/a"))), AllOf(HasSubstr(path("none/a")), HasSubstr("ENOENT")));
    EXPECT_THAT(reason(write(folder_.string())), HasSubstr("EISDIR"));
    EXPECT_THAT(reason(write("/dev/full")), HasSubstr("ENOSPC"));
    EXPECT_EQ(reason(write("/dev/null")), "none");
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(FileTest, CheckingChangesNothing) {
  EXPECT_TRUE(check_writable(path("a")));
  EXPECT_EQ(files(), 0U);
  ASSERT_TRUE(replace_file(path("a"), "first"));
  EXPECT_TRUE(check_writable(path("a")));
  EXPECT_EQ(content("a"), "first");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(check_writable(path("pipe"))) << "and does not wait for a reader";
  EXPECT_EQ(files(), 2U);
}

TEST_F(FileTest, APipeIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  auto text = read_regular_file(path("pipe"), 10);
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().to_string(), HasSubstr("not a regular file"));
  EXPECT_FALSE(read_regular_file(folder_.string(), 10));
  EXPECT_FALSE(read_regular_file(path("none"), 10));
}

TEST_F(FileTest, ALockIsHeldByOne) {
  auto first = lock_file(path("lock"));
  ASSERT_TRUE(first) << first.error().to_string();
  auto second = lock_file(path("lock"), 0);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(), HasSubstr(path("lock")));
  first->reset();
  EXPECT_TRUE(lock_file(path("lock"), 0));
  EXPECT_FALSE(lock_file(path("none/lock"), 0));
}

}  // namespace
}  // namespace tutti
