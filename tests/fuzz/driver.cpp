// DRIVER EXECUTIONS FOLDER: tries each file of the corpus, then so many damaged versions of them; the same ones in every run. An
// input that ends the program is left in ./crash-TARGET.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/mutator.h"

namespace {

constexpr unsigned kSeed = 20260101;

std::string current;     // the input that is being tried
std::string crash_file;  // where it is left

extern "C" void leave_input(int signal) {
  const int fd = open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd >= 0 && write(fd, current.data(), current.size()) >= 0) close(fd);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(std::string input) {
  current = std::move(input);
  tutti::fuzz::try_input(std::as_bytes(std::span(current)));
}

std::vector<std::string> read_corpus(const char* folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<std::string> texts;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return texts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s EXECUTIONS CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  crash_file = "crash-" + std::filesystem::path(argv[0]).filename().string();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, leave_input);
  const std::vector<std::string> corpus = read_corpus(argv[2]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s holds no corpus\n", argv[2]);
    return 2;
  }
  run("");
  for (const std::string& text : corpus) run(text);
  tutti::test::Mutator mutator(kSeed);
  const auto executions = std::strtoul(argv[1], nullptr, 10);
  for (std::size_t i = 0; i < executions; ++i) run(mutator(corpus[i % corpus.size()], corpus[i / 3 % corpus.size()]));
  std::printf("seed %u: %zu files, %lu damaged ones\n", kSeed, corpus.size(), executions);
}
