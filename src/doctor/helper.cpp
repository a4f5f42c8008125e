#include "doctor/helper.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

namespace tutti::doctor {
namespace {

bool send_all(int socket, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

Result<Helper> Helper::start(const std::function<std::string(int socket)>& work, unsigned seconds) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return system_error(errno, "socketpair()");
  Fd here(pair[0]), there(pair[1]);
  const pid_t pid = fork();
  if (pid < 0) return system_error(errno, "fork()");
  if (pid > 0) return Helper(std::move(here), pid);
  here.reset();
  (void)signal(SIGALRM, SIG_DFL);
  (void)alarm(seconds);
  const std::string answer = work(there.get());
  _exit(send_all(there.get(), answer.data(), answer.size()) ? 0 : 1);
}

Helper::~Helper() {
  if (pid_ < 0) return;
  (void)kill(pid_, SIGKILL);
  (void)end();
}

bool Helper::tell(const void* bytes, std::size_t size) const {
  return send_all(socket_.get(), static_cast<const char*>(bytes), size);
}

Result<std::string> Helper::answer() {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = recv(socket_.get(), part, sizeof part, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(part, static_cast<std::size_t>(got));
  }
  const int status = end();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return Error(Code::timeout, "it did not come to its end in time");
  return Error(Code::internal, WIFSIGNALED(status) ? fmt::format("it was ended by signal {}", WTERMSIG(status))
                                                   : fmt::format("it ended with status {}", WEXITSTATUS(status)));
}

int Helper::end() {
  int status = 0;
  while (waitpid(std::exchange(pid_, -1), &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace tutti::doctor
