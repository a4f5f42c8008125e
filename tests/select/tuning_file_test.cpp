#include "select/tuning_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace tutti {
namespace {

using testing::HasSubstr;

TunedLayout layout(std::uint64_t machine, std::uint64_t places, double us = 1.5) {
  return {.machine = machine,
          .layout = places,
          .version = "1.2.3",
          .about = "4 ranks \"here\"",
          .measured = {{{Collective::all_reduce, "ring", {.pieces = 4, .radix = 2}, false}, 65536, us},
                       {{Collective::barrier, "direct", {}, true}, 0, 0.25}}};
}

std::string error_of(std::string_view text) {
  auto file = TuningFile::parse(text);
  if (file) return "none";
  EXPECT_EQ(file.error().code(), Code::protocol);
  return file.error().to_string();
}

TEST(TuningFile, WhatIsWrittenIsRead) {
  TuningFile file;
  file.put(layout(0xfedcba9876543210, 2));
  file.put(layout(3, 4, 1.0 / 3));
  auto again = TuningFile::parse(file.to_json());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->layouts, file.layouts);
  EXPECT_EQ(TuningFile::parse(TuningFile{}.to_json())->layouts.size(), 0U);
}

TEST(TuningFile, ANewerOneOfTheSamePlaceReplacesTheOlder) {
  TuningFile file;
  file.put(layout(1, 2));
  file.put(layout(1, 3));
  file.put(layout(1, 2, 9));
  ASSERT_EQ(file.layouts.size(), 2U);
  EXPECT_EQ(file.layouts.back(), layout(1, 2, 9));
  TunedLayout of_other_version = layout(1, 2);
  of_other_version.version = "2";
  file.put(of_other_version);
  EXPECT_EQ(file.layouts.size(), 3U);
}

TunedHosts between(std::uint64_t places, double us) {
  return {.machine = 1, .layout = places, .version = "1", .transports = {{"ucx", us, 11}, {"tcp", 12, 3}}};
}

TEST(TuningFile, KeepsTheTransportsBetweenHosts) {
  TuningFile file;
  file.put(layout(1, 2));
  file.put(between(1, 4));
  file.put(between(2, 1.0 / 3));
  file.put(between(1, 4.125));
  ASSERT_EQ(file.hosts.size(), 2U);
  EXPECT_EQ(file.hosts.back(), between(1, 4.125)) << "the newest is the last";
  auto again = TuningFile::parse(file.to_json());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->hosts, file.hosts);
  EXPECT_EQ(again->layouts, file.layouts);
  EXPECT_EQ(between(1, 4.125).to_string(), "measured by tutti tune: ucx 4.125 us and 11 GB/s, tcp 12 us and 3 GB/s");
  EXPECT_TRUE(TuningFile::parse(R"({"tutti_tuning": 1, "layouts": []})")->hosts.empty()) << "as earlier runs have left it";
}

TEST(TuningFile, SaysWhichTransportIsWrong) {
  const auto wrong = [](std::string_view hosts) {
    return error_of(fmt::format(R"({{"tutti_tuning": 1, "layouts": [], "hosts": {}}})", hosts));
  };
  const auto entry = [](std::string_view transports) {
    return fmt::format(R"([{{"machine": "1", "layout": "2", "tutti": "1", "transports": {}}}])", transports);
  };
  EXPECT_THAT(wrong("7"), HasSubstr("hosts: is not a list"));
  EXPECT_THAT(wrong("[7]"), HasSubstr("hosts[0]: is not an object"));
  EXPECT_THAT(wrong(R"([{"machine": "x"}])"), HasSubstr("hosts[0].machine: is not a hexadecimal number"));
  EXPECT_THAT(wrong(entry("[]")), HasSubstr("hosts[0].transports: is not a list of 1 to 16"));
  for (const std::string_view row :
       {R"(["tcp", 0, 1])", R"(["tcp", 1])", R"([1, 1, 1])", R"(["tcp", 1, -1])", R"(["tcp", 1e13, 1])"})
    EXPECT_THAT(wrong(entry(fmt::format("[{}]", row))),
                HasSubstr("hosts[0].transports[0]: is not a name, microseconds and GB/s"));
  EXPECT_EQ(wrong(entry(R"([["tcp", 1, 2.5]])")), "none");
}

TEST(TuningFile, OtherCollectivesOfTheSamePlaceStay) {
  TuningFile file;
  file.put(layout(1, 2));
  TunedLayout again = layout(1, 2, 9);
  again.measured.resize(1);  // all_reduce
  file.put(again);
  ASSERT_EQ(file.layouts.size(), 1U);
  const auto& measured = file.layouts[0].measured;
  ASSERT_EQ(measured.size(), 2U);
  EXPECT_EQ(measured[0].variant.collective, Collective::barrier);
  EXPECT_EQ(measured[1].us, 9);
}

TEST(TuningFile, NewSizesReplaceThoseAmongThemAndNoOthers) {
  const auto sizes_of = [](const TunedLayout& l) {
    std::vector<std::uint64_t> sizes;
    for (const Measurement& m : l.measured)
      if (m.variant.collective == Collective::all_reduce) sizes.push_back(m.block_bytes);
    std::ranges::sort(sizes);
    return sizes;
  };
  const auto with = [](std::initializer_list<std::uint64_t> sizes) {
    TunedLayout l = layout(1, 2);
    l.measured.resize(1);
    const Measurement one = l.measured.front();
    l.measured.clear();
    for (const std::uint64_t size : sizes) l.measured.push_back({one.variant, size, 1});
    return l;
  };
  TuningFile file;
  file.put(with({8, 16, 32, 64, 128}));
  file.put(with({16}));  // the first of a run that is interrupted
  EXPECT_EQ(sizes_of(file.layouts[0]), (std::vector<std::uint64_t>{8, 16, 32, 64, 128}));
  file.put(with({16, 64}));
  EXPECT_EQ(sizes_of(file.layouts[0]), (std::vector<std::uint64_t>{8, 16, 64, 128})) << "32 would be older than its neighbours";
}

TEST(TuningFile, JobsThatUpdateItAtOnceLoseNothing) {
  const std::string path = testing::TempDir() + "tuning_file_test_updates/tuning.json";
  constexpr std::uint64_t kJobs = 4, kUpdates = 25;
  std::vector<std::thread> jobs;
  for (std::uint64_t job = 0; job < kJobs; ++job)
    jobs.emplace_back([&, job] {
      for (std::uint64_t i = 0; i < kUpdates; ++i) {
        const auto s = update_tuning_file(path, [&](TuningFile& file) { file.put(layout(job, i)); });
        EXPECT_TRUE(s) << s.error().to_string();
      }
    });
  for (std::thread& job : jobs) job.join();
  auto file = TuningFile::read(path);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->layouts.size(), kJobs * kUpdates);
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

TEST(TuningFile, WhatCannotBeReadIsNotOverwritten) {
  const std::string path = testing::TempDir() + "tuning_file_test_broken.json";
  std::ofstream(path) << "{";
  const auto s = update_tuning_file(path, [](TuningFile&) {});
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().to_string(), HasSubstr("remove it, or name another file"));
  std::string text;
  std::ifstream(path) >> text;
  EXPECT_EQ(text, "{");
  TunedLayout huge = layout(1, 2);
  huge.measured.resize(300000, huge.measured.front());
  std::remove(path.c_str());
  EXPECT_THAT(update_tuning_file(path, [&](TuningFile& file) { file.put(huge); }).error().to_string(), HasSubstr("fewer sizes"));
  EXPECT_FALSE(std::filesystem::exists(path));
  std::remove((path + ".lock").c_str());
}

TEST(TuningFile, OldestGoWhereAllWouldBeTooMuch) {
  TunedLayout large = layout(1, 0);
  large.measured.resize(40000, large.measured.front());
  TuningFile file;
  for (std::uint64_t i = 0; i < 6; ++i) {
    large.layout = i;
    file.put(large);
  }
  auto again = TuningFile::parse(file.to_json());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_GE(again->layouts.size(), 2U);
  EXPECT_LT(again->layouts.size(), 6U);
  EXPECT_EQ(again->layouts.back().layout, 5U);
}

TEST(TuningFile, ErrorsNameThePlace) {
  TuningFile file;
  file.put(layout(1, 2));
  const std::string good = file.to_json();
  EXPECT_THAT(error_of(good.substr(0, good.size() / 2)), HasSubstr("not JSON, or not all of it"));
  EXPECT_THAT(error_of(""), HasSubstr("not JSON"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("not a tuning file"));
  EXPECT_THAT(error_of("{\"tutti_tuning\": 2, \"layouts\": []}"), HasSubstr("not a tuning file"));
  EXPECT_THAT(error_of("{\"tutti_tuning\": 1}"), HasSubstr("layouts: is not a list"));
  EXPECT_THAT(error_of("{\"tutti_tuning\": 1, \"layouts\": [7]}"), HasSubstr("layouts[0]: is not an object"));
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return error_of(text.replace(at, from.size(), to));
  };
  EXPECT_THAT(changed("0000000000000001", "wxyz"), HasSubstr("layouts[0].machine"));
  EXPECT_THAT(changed("0000000000000002", "123456789abcdef01"), HasSubstr("layouts[0].layout"));
  EXPECT_THAT(changed("\"1.2.3\"", "3"), HasSubstr("layouts[0].tutti"));
  EXPECT_THAT(changed("\"all_reduce\"", "\"all_thing\""),
              HasSubstr("layouts[0].measured[0]: there is no collective \"all_thing\""));
  EXPECT_THAT(changed("\"ring\"", "5"), HasSubstr("measured[0]: the second field"));
  EXPECT_THAT(changed("4, 2, false", "0, 2, false"), HasSubstr("measured[0]: pieces and radix"));
  EXPECT_THAT(changed("4, 2, false", "4, -2, false"), HasSubstr("measured[0]: pieces and radix"));
  EXPECT_THAT(changed("65536, 1.5", "65536, -1.5"), HasSubstr("measured[0]: -1.5 is not a time"));
  EXPECT_THAT(changed("65536, 1.5", "65536, 1e300"), HasSubstr("is not a time"));
  EXPECT_THAT(changed("65536, 1.5", "65536.5, 1.5"), HasSubstr("bytes are not a whole number"));
  EXPECT_THAT(changed("true, 0, 0.25", "1, 0, 0.25"), HasSubstr("measured[1]: the fifth field"));
  EXPECT_THAT(changed(", 0.25]", "]"), HasSubstr("measured[1]: is not a list of 7 fields"));
}

TEST(TuningFile, ReadingNamesTheFile) {
  auto missing = TuningFile::read("/nowhere/tuning.json");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().to_string(), HasSubstr("/nowhere/tuning.json"));
  EXPECT_FALSE(TuningFile::read("/")) << "a folder";
  const std::string path = testing::TempDir() + "tuning_file_test.json";
  std::ofstream(path) << "{\"tutti_tuning\": 1, \"layouts\": [";
  auto truncated = TuningFile::read(path);
  ASSERT_FALSE(truncated);
  EXPECT_THAT(truncated.error().to_string(), HasSubstr(path));
}

TEST(TuningFile, LiesInTheCacheFolder) {
  setenv("HOME", "/somebody", 1);
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(usual_tuning_path(), "/somebody/.cache/tutti/tuning.json");
  setenv("XDG_CACHE_HOME", "/elsewhere", 1);
  EXPECT_EQ(usual_tuning_path(), "/elsewhere/tutti/tuning.json");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(usual_tuning_path(), "");
}

}  // namespace
}  // namespace tutti
