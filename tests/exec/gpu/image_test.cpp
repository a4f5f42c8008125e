// What lies in the library for GPUs, if nvcc was at hand.
#include "device/image.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

namespace tutti::test {
namespace {

std::string output_of(const std::string& command) {
  std::string text;
  std::array<char, 4096> part{};
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  while (const std::size_t n = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), n);
  pclose(pipe);
  return text;
}

// How often `what` stands in the text.
int times(const std::string& text, const std::string& what) {
  int n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(DeviceImage, IsAFatBinary) {
  const auto image = device::image();
  if (image.empty()) GTEST_SKIP() << "built without nvcc";
  ASSERT_EQ(reinterpret_cast<std::uintptr_t>(image.data()) % 8, 0U);
  EXPECT_EQ(image[0], 0x50);  // 0xba55ed50, little endian
  EXPECT_EQ(image[1], 0xed);
  EXPECT_EQ(image[2], 0x55);
  EXPECT_EQ(image[3], 0xba);
  EXPECT_LT(image.size(), 3U << 20) << "every program carries it";
}

TEST(DeviceImage, HoldsEveryKernelForEveryArchitecture) {
  const std::string cuobjdump = TUTTI_CUOBJDUMP;
  if (device::image().empty()) GTEST_SKIP() << "built without nvcc";
  if (access(cuobjdump.c_str(), X_OK) != 0) GTEST_SKIP() << "no cuobjdump to read the image with";
  const std::string file = testing::TempDir() + "tutti_image_" + std::to_string(getpid()) + ".fatbin";
  const auto image = device::image();
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(image.data()), static_cast<long>(image.size()));
  const std::string machine_code = output_of(cuobjdump + " -res-usage " + file + " 2>&1");
  const std::string ptx = output_of(cuobjdump + " -ptx " + file + " 2>&1");
  std::remove(file.c_str());
  for (const char* arch : {"arch = sm_80", "arch = sm_90", "arch = sm_100", "arch = sm_120"})
    EXPECT_EQ(times(machine_code, arch), 1) << arch;
  for (const std::string kernel : {"tutti_fold", "tutti_one_pass", "tutti_prepare", "tutti_finish", "tutti_interpret"}) {
    EXPECT_EQ(times(machine_code, "Function " + kernel + ":"), 4) << kernel << " in\n" << machine_code;
    EXPECT_EQ(times(ptx, ".entry " + kernel + "("), 1) << kernel;
  }
}

}  // namespace
}  // namespace tutti::test
