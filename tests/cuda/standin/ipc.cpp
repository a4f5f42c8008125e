// Device memory of another process: a handle names the exporting process and its memfd.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "capture.h"
#include "memory.h"

using namespace standin;

namespace {

constexpr std::uint64_t kMagic = 0x6e6964'6e617473;  // "standin"

struct Handle {
  std::uint64_t magic;
  std::int32_t process;
  std::int32_t fd;
  std::uint64_t inode;  // tells a memfd from a later one with the same number
  std::uint64_t bytes;
  std::int32_t device;
};
static_assert(sizeof(Handle) <= sizeof(CUipcMemHandle));

CUresult open_handle(const Handle& handle, Context& context, std::uintptr_t* base) {
  const std::string path = "/proc/" + std::to_string(handle.process) + "/fd/" + std::to_string(handle.fd);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return kMapFailed;
  struct stat about {};
  CUresult result = kInvalidHandle;
  if (fstat(fd, &about) == 0 && about.st_ino == handle.inode && static_cast<std::uint64_t>(about.st_size) >= handle.bytes)
    result = memory().open(context, fd, about.st_ino, handle.device, handle.bytes, base);
  close(fd);
  return result;
}

}  // namespace

// The handle is that of the whole allocation, wherever in it the address lies.
CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr address) {
  return call_in_context([&](Context&) {
    const auto known = memory().find(address);
    if (!handle || !known || known->kind != Kind::device) return kInvalidValue;
    const Handle filled{kMagic, getpid(), known->fd, known->inode, known->bytes, known->device};
    *handle = {};
    std::memcpy(handle->bytes, &filled, sizeof filled);
    return kSuccess;
  });
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* address, CUipcMemHandle bytes, unsigned flags) {
  return call_in_context([&](Context& context) -> CUresult {
    Handle handle;
    std::memcpy(&handle, bytes.bytes, sizeof handle);
    if (!address || flags != kIpcLazyEnablePeerAccess || handle.magic != kMagic) return kInvalidValue;
    if (handle.process == getpid()) return kInvalidContext;
    if (const CUresult error = refuse_in_capture()) return error;
    std::uintptr_t base = 0;
    if (const CUresult error = open_handle(handle, context, &base)) return error;
    *address = base;
    return kSuccess;
  });
}
