// Values of variables: the first byte says which, the rest is the value.
#include "core/config.h"

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  if (input.empty()) return;
  static const Config kDefaults = Config::from_environment().value_or_throw();
  const auto rows = config_table();
  const ConfigRow& row = rows[std::to_integer<std::size_t>(input[0]) % rows.size()];
  const std::string value(text_of(input.subspan(1)));
  (void)parsed(parse_bytes(value));
  Config config = kDefaults;
  if (!parsed(config.set(row.var, value, "fuzz"))) return;
  promise(config.text(row.var) == value, "a value that was taken is kept");
  if (row.kind == Kind::integer || row.kind == Kind::bytes)
    promise(value.empty() || (config.integer(row.var) >= 0 && static_cast<std::uint64_t>(config.integer(row.var)) >= row.least &&
                              static_cast<std::uint64_t>(config.integer(row.var)) <= row.most),
            "numbers are within their limits");
  if (row.kind == Kind::seconds && !value.empty()) promise(config.seconds(row.var) > 0, "times are positive");
}

}  // namespace tutti::fuzz
