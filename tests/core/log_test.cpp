#include "core/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tutti {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tutti_log_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  static std::string content(const fs::path& file) {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  fs::path folder_;
};

TEST_F(LogTest, PathHoldsRankHostAndProcess) {
  configure_log(LogLevel::info, (folder_ / "of-%r-%p-%x%%.log").string(), 7);
  log(LogLevel::info, "seven here");
  const fs::path file = folder_ / ("of-7-" + std::to_string(getpid()) + "-x%.log");
  ASSERT_TRUE(fs::exists(file));
  EXPECT_THAT(content(file), HasSubstr("rank 7] info: seven here\n"));
}

TEST_F(LogTest, OnlyTheLevelAskedForAndAbove) {
  const fs::path file = folder_ / "log";
  configure_log(LogLevel::warn, file.string(), 0);
  EXPECT_TRUE(log_enabled(LogLevel::error));
  EXPECT_TRUE(log_enabled(LogLevel::warn));
  EXPECT_FALSE(log_enabled(LogLevel::info));
  log(LogLevel::error, "bad {}");
  log(LogLevel::warn, "odd");
  log(LogLevel::debug, "detail");
  EXPECT_THAT(content(file), HasSubstr("error: bad {}\n"));
  EXPECT_THAT(content(file), HasSubstr("warning: odd\n"));
  EXPECT_THAT(content(file), Not(HasSubstr("detail")));
}

TEST_F(LogTest, AppendsToWhatIsThere) {
  const fs::path file = folder_ / "log";
  for (const Rank rank : {0, 1}) {
    configure_log(LogLevel::warn, file.string(), rank);
    log(LogLevel::warn, "from " + std::to_string(rank));
  }
  EXPECT_THAT(content(file), HasSubstr("from 0"));
  EXPECT_THAT(content(file), HasSubstr("from 1"));
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsSaidAndLoggingGoesOn) {
  const fs::path good = folder_ / "log";
  configure_log(LogLevel::warn, good.string(), 0);
  testing::internal::CaptureStderr();
  configure_log(LogLevel::warn, (folder_ / "missing" / "log").string(), 0);
  log(LogLevel::warn, "still heard");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("cannot open log file " + (folder_ / "missing" / "log").string()));
  EXPECT_THAT(said, HasSubstr("still heard"));
  EXPECT_THAT(content(good), Not(HasSubstr("still heard")));
}

}  // namespace
}  // namespace tutti
