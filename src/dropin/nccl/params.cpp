#include "nccl/params.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "core/config.h"
#include "core/log.h"

namespace tutti::nccl {
namespace {

const std::array kKeys{
    "NCCL_DEBUG",          "NCCL_DEBUG_FILE", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_TIMESTAMP_FORMAT", "NCCL_DEBUG_TIMESTAMP_LEVELS",
    "NCCL_SET_THREAD_NAME"};
// What NCCL says of those that are not set.
constexpr std::array kUnset{"<unknown>", "", "INIT,ENV,BOOTSTRAP", "[%F %T] ", "WARN", "FALSE"};
static_assert(kKeys.size() == kUnset.size());

// A handle is the place in the table.
const char* const* find(const char* key) {
  const auto* found = std::ranges::find_if(kKeys, [&](const char* k) { return key != nullptr && std::strcmp(k, key) == 0; });
  return found == kKeys.end() ? nullptr : found;
}
const char* key_of(ncclParamHandle_t handle) {
  const auto* place = reinterpret_cast<const char* const*>(handle);
  return std::ranges::any_of(kKeys, [&](const char* const& k) { return &k == place; }) ? *place : nullptr;
}
std::string text_of(const char* key) {
  return environment(key).value_or(kUnset[static_cast<std::size_t>(find(key) - kKeys.begin())]);
}

ncclResult_t no_handle(std::string_view call) {
  return invalid_argument("{}: no handle of ncclParamBind, or nowhere to put the value", call);
}
ncclResult_t no_key(std::string_view call, const char* key) {
  return invalid_argument("{}: there is no parameter '{}'", call, key == nullptr ? "NULL" : key);
}

}  // namespace

ncclResult_t param_bind(ncclParamHandle_t* handle, const char* key) {
  if (handle == nullptr) return invalid_argument("ncclParamBind: out is NULL");
  const auto* place = find(key);
  if (place == nullptr) return no_key("ncclParamBind", key);
  *handle = reinterpret_cast<ncclParamHandle_t>(const_cast<const char**>(place));
  return ncclSuccess;
}

template <class Integer>
ncclResult_t param_get_integer(ncclParamHandle_t handle, Integer* value) {
  const char* key = key_of(handle);
  if (key == nullptr || value == nullptr) return no_handle("ncclParamGet");
  const auto text = environment(key);
  if (!text) return invalid_argument("ncclParamGet: {} is not set", key);
  Integer number{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size())
    return invalid_argument("ncclParamGet: {} is '{}', which is no number of {} bits", key, *text, 8 * sizeof(Integer));
  *value = number;
  return ncclSuccess;
}
template ncclResult_t param_get_integer(ncclParamHandle_t, std::int8_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::int16_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::int32_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::int64_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::uint8_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::uint16_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::uint32_t*);
template ncclResult_t param_get_integer(ncclParamHandle_t, std::uint64_t*);

ncclResult_t param_get_str(ncclParamHandle_t handle, const char** value) {
  thread_local std::string text;
  const char* key = key_of(handle);
  if (key == nullptr || value == nullptr) return no_handle("ncclParamGetStr");
  text = text_of(key);
  *value = text.c_str();
  return ncclSuccess;
}

ncclResult_t param_get(ncclParamHandle_t handle, void* value, int most, int* length) {
  const char* key = key_of(handle);
  if (key == nullptr || value == nullptr || most < 0) return no_handle("ncclParamGet");
  const std::string text = text_of(key);
  if (text.size() + 1 > static_cast<std::size_t>(most))
    return invalid_argument("ncclParamGet: {} takes {} bytes, there is room for {}", key, text.size() + 1, most);
  std::memcpy(value, text.c_str(), text.size() + 1);
  if (length != nullptr) *length = static_cast<int>(text.size() + 1);
  return ncclSuccess;
}

ncclResult_t param_get_parameter(const char* key, const char** value, int* length) {
  thread_local std::string text;
  if (value == nullptr) return invalid_argument("ncclParamGetParameter: value is NULL");
  if (find(key) == nullptr) return no_key("ncclParamGetParameter", key);
  text = text_of(key);
  *value = text.c_str();
  if (length != nullptr) *length = static_cast<int>(text.size());
  return ncclSuccess;
}

ncclResult_t param_get_all_parameter_keys(const char*** keys, int* count) {
  thread_local std::array table = kKeys;
  if (keys == nullptr || count == nullptr) return invalid_argument("ncclParamGetAllParameterKeys: table or tableLen is NULL");
  *keys = table.data();
  *count = static_cast<int>(table.size());
  return ncclSuccess;
}

void param_dump_all() {
  for (const char* key : kKeys) log(LogLevel::info, fmt::format("{}={}", key, text_of(key)));
}

}  // namespace tutti::nccl
