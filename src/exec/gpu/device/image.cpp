#include "device/image.h"

namespace tutti::device {
namespace {
#include "fatbin.inc"  // kFatbin: 8-byte words, written by bin2c
}  // namespace

std::span<const unsigned char> image() { return {reinterpret_cast<const unsigned char*>(kFatbin), sizeof(kFatbin)}; }

}  // namespace tutti::device
