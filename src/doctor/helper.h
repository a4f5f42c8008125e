// A process of its own for what must not be done in this one. A pair of sockets joins the two.
#pragma once

#include <functional>
#include <string>

#include "core/fd.h"
#include "tutti/result.h"

namespace tutti::doctor {

class Helper {
 public:
  // `work` is done there; what it returns is the answer. Killed after so many seconds.
  static Result<Helper> start(const std::function<std::string(int socket)>& work, unsigned seconds);
  Helper(Helper&& other) noexcept : socket_(std::move(other.socket_)), pid_(std::exchange(other.pid_, -1)) {}
  Helper& operator=(Helper&&) = delete;
  ~Helper();

  [[nodiscard]] bool tell(const void* bytes, std::size_t size) const;
  // Once. An error where the helper has died.
  Result<std::string> answer();

 private:
  Helper(Fd socket, int pid) : socket_(std::move(socket)), pid_(pid) {}
  int end();
  Fd socket_;
  int pid_;
};

}  // namespace tutti::doctor
