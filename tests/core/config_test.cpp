#include "core/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace tutti {
namespace {

// Sets a variable for one test.
class Variable {
 public:
  Variable(std::string name, const std::string& value) : name_(std::move(name)) { setenv(name_.c_str(), value.c_str(), 1); }
  ~Variable() { unsetenv(name_.c_str()); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
};

// No TUTTI_ variable of the test's own environment must show.
class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const ConfigRow& row : config_table()) unsetenv(std::string(row.name).c_str());
  }
};

std::string refusal(const std::string& name, const std::string& value) {
  const Variable variable(name, value);
  auto config = Config::from_environment();
  if (config) return "";
  EXPECT_EQ(config.error().code(), Code::environment) << config.error().to_string();
  return config.error().to_string();
}

TEST_F(ConfigTest, DefaultsAreThoseOfTheTable) {
  auto config = Config::from_environment();
  ASSERT_TRUE(config) << config.error().to_string();
  for (const ConfigRow& row : config_table()) {
    EXPECT_FALSE(config->is_set(row.var)) << row.name;
    EXPECT_EQ(config->text(row.var), row.default_value) << row.name;
  }
  EXPECT_EQ(config->seconds(Var::timeout), 300);
  EXPECT_EQ(config->integer(Var::shm_bytes), 8 << 20);
  EXPECT_EQ(config->integer(Var::tcp_sockets), 2);
  EXPECT_EQ(config->integer(Var::memory_limit), 0);
  EXPECT_TRUE(config->flag(Var::cma));
  EXPECT_EQ(config->text(Var::log), "warn");
}

TEST_F(ConfigTest, EveryRowIsDocumentedOnceAndItsDefaultIsValid) {
  std::set<std::string_view> names;
  auto config = Config::from_environment();
  ASSERT_TRUE(config);
  for (const ConfigRow& row : config_table()) {
    EXPECT_TRUE(row.name.starts_with("TUTTI_")) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " twice";
    EXPECT_TRUE(row.help.ends_with(".")) << row.name;
    EXPECT_EQ(row.kind == Kind::choice, !row.choices.empty()) << row.name;
    if (row.default_value.empty()) continue;
    auto status = config->set(row.var, std::string(row.default_value));
    EXPECT_TRUE(status) << status.error().to_string();
  }
}

TEST_F(ConfigTest, ReadsValuesOfEachKind) {
  const Variable rank("TUTTI_RANK", "3"), shm("TUTTI_SHM_BYTES", "64K"), timeout("TUTTI_TIMEOUT", "2.5"), cma("TUTTI_CMA", "0"),
      log("TUTTI_LOG", "debug"), secret("TUTTI_SECRET", "between = us");
  auto config = Config::from_environment();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_TRUE(config->is_set(Var::rank));
  EXPECT_EQ(config->integer(Var::rank), 3);
  EXPECT_EQ(config->integer(Var::shm_bytes), 65536);
  EXPECT_EQ(config->seconds(Var::timeout), 2.5);
  EXPECT_FALSE(config->flag(Var::cma));
  EXPECT_EQ(config->text(Var::log), "debug");
  EXPECT_EQ(config->text(Var::secret), "between = us");
}

TEST_F(ConfigTest, AnEmptyValueIsAsGoodAsNone) {
  const Variable rank("TUTTI_RANK", ""), timeout("TUTTI_TIMEOUT", "");
  auto config = Config::from_environment();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_FALSE(config->is_set(Var::rank));
  EXPECT_EQ(config->seconds(Var::timeout), 300);
}

struct Bad {
  std::string name, value, expected;
};
class BadValueTest : public ConfigTest, public testing::WithParamInterface<Bad> {};

TEST_P(BadValueTest, IsRefusedWithNameValueAndWhatIsExpected) {
  const Bad& bad = GetParam();
  const std::string text = refusal(bad.name, bad.value);
  EXPECT_NE(text.find(bad.name + "=\"" + bad.value + "\""), std::string::npos) << text;
  EXPECT_NE(text.find(bad.expected), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(
    EachKind, BadValueTest,
    testing::Values(Bad{"TUTTI_RANK", "first", "a whole number"}, Bad{"TUTTI_RANK", "-1", "a whole number"},
                    Bad{"TUTTI_RANK", "1x", "a whole number"}, Bad{"TUTTI_RANK", " 1", "a whole number"},
                    Bad{"TUTTI_RANK", "99999999999999999999", "a whole number"}, Bad{"TUTTI_SHM_BYTES", "8Q", "a size"},
                    Bad{"TUTTI_SHM_BYTES", "-8", "a size"}, Bad{"TUTTI_TIMEOUT", "0", "a positive number of seconds"},
                    Bad{"TUTTI_TIMEOUT", "-1", "a positive number"}, Bad{"TUTTI_TIMEOUT", "nan", "a positive number"},
                    Bad{"TUTTI_TIMEOUT", "inf", "a positive number"}, Bad{"TUTTI_TIMEOUT", "1e300", "a positive number"},
                    Bad{"TUTTI_TCP_SOCKETS", "0", "a whole number from 1 to 64"},
                    Bad{"TUTTI_TCP_SOCKETS", "100000", "from 1 to 64"}, Bad{"TUTTI_SHM_BYTES", "1", "at least 16K"},
                    Bad{"TUTTI_SHM_BYTES", "16777215T", "a size"}, Bad{"TUTTI_CMA", "yes", "0 or 1"},
                    Bad{"TUTTI_CALIBRATE", "2", "0 or 1"}, Bad{"TUTTI_LOG", "loud", "error|warn|info|debug"},
                    Bad{"TUTTI_LOG", "warn|info", "one of"}));

TEST_F(ConfigTest, AMisspeltVariableIsAnErrorThatNamesTheRightOne) {
  const std::string text = refusal("TUTTI_TIMOUT", "3");
  EXPECT_NE(text.find("TUTTI_TIMOUT"), std::string::npos) << text;
  EXPECT_NE(text.find("is TUTTI_TIMEOUT meant?"), std::string::npos) << text;
  EXPECT_NE(refusal("TUTTI_LOGG", "3").find("is TUTTI_LOG meant?"), std::string::npos);
  for (const auto* other : {"TUTTI_OF_ANOTHER_PROGRAM", "TUTTI_FOO", "TUTTI_CPU", "TUTTI_NODE"})
    EXPECT_EQ(refusal(other, "3"), "");
  EXPECT_EQ(refusal("TUTT_RANK", "x"), "");  // not ours
}

TEST_F(ConfigTest, SetChecksLikeTheEnvironment) {
  auto config = Config::from_environment();
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->set(Var::tcp_sockets, "4"));
  EXPECT_EQ(config->integer(Var::tcp_sockets), 4);
  auto status = config->set(Var::tcp_sockets, "many");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::environment);
  EXPECT_EQ(config->integer(Var::tcp_sockets), 4) << "a refused value must leave the old one";
  EXPECT_EQ(config->source(Var::tcp_sockets), "TUTTI_TCP_SOCKETS");
}

TEST_F(ConfigTest, ErrorsNameWhatGaveTheValue) {
  auto config = Config::from_environment();
  ASSERT_TRUE(config);
  auto status = config->set(Var::timeout, "-1", "--patience");
  ASSERT_FALSE(status);
  EXPECT_TRUE(status.error().to_string().starts_with("--patience=\"-1\" is not")) << status.error().to_string();
  EXPECT_EQ(config->source(Var::timeout), "TUTTI_TIMEOUT");
  ASSERT_TRUE(config->set(Var::timeout, "2", "--patience"));
  EXPECT_EQ(config->source(Var::timeout), "--patience");
}

TEST_F(ConfigTest, ForeignVariables) {
  unsetenv("SOME_LAUNCHERS_RANK");
  EXPECT_FALSE(environment("SOME_LAUNCHERS_RANK"));
  const Variable variable("SOME_LAUNCHERS_RANK", "");
  EXPECT_EQ(environment("SOME_LAUNCHERS_RANK"), "");
}

TEST(Bytes, Parse) {
  const auto bytes = [](std::string_view text) -> std::uint64_t {
    auto b = parse_bytes(text);
    EXPECT_TRUE(b) << b.error().to_string();
    return b ? *b : 0;
  };
  EXPECT_EQ(bytes("0"), 0u);
  EXPECT_EQ(bytes("8388608"), 8388608u);
  EXPECT_EQ(bytes("17B"), 17u);
  for (const auto* text : {"4K", "4k", "4KB", "4KiB", "4096"}) EXPECT_EQ(bytes(text), 4096u) << text;
  EXPECT_EQ(bytes("1M"), 1u << 20);
  EXPECT_EQ(bytes("3G"), 3ull << 30);
  EXPECT_EQ(bytes("2TiB"), 2ull << 40);
  EXPECT_EQ(bytes("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(bytes("16777215T"), 16777215ull << 40);
}

TEST(Bytes, ParseRefusesWhatIsNoSize) {
  for (const auto* text :
       {"", "K", "-1", "+1", "1.5M", "4 K", "4Q", "4KK", "iB", "4i", "0x10", "1e3", "18446744073709551616", "16777216T"}) {
    auto b = parse_bytes(text);
    ASSERT_FALSE(b) << text << " became " << *b;
    EXPECT_EQ(b.error().code(), Code::invalid_argument);
    EXPECT_NE(b.error().message().find('"' + std::string(text) + '"'), std::string::npos) << b.error().message();
  }
}

TEST(Bytes, FormatIsExactAndParsesBack) {
  EXPECT_EQ(format_bytes(0), "0");
  EXPECT_EQ(format_bytes(1000), "1000");
  EXPECT_EQ(format_bytes(1024), "1K");
  EXPECT_EQ(format_bytes(1536), "1536");
  EXPECT_EQ(format_bytes(8u << 20), "8M");
  EXPECT_EQ(format_bytes(5ull << 40), "5T");
  for (const std::uint64_t bytes : std::vector<std::uint64_t>{0, 1, 1023, 1u << 20, (1u << 30) + 1, 1ull << 50, UINT64_MAX}) {
    auto back = parse_bytes(format_bytes(bytes));
    ASSERT_TRUE(back) << format_bytes(bytes);
    EXPECT_EQ(*back, bytes);
  }
}

}  // namespace
}  // namespace tutti
