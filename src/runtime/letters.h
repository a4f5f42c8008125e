// Small messages of the library's own between two ranks, beside those of calls: over connections of their own.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <vector>

#include "exec/cpu/wait.h"
#include "gpu/lanes.h"
#include "runtime/streams.h"

namespace tutti {

// Used by one thread at a time, while nobody else waits with the same watch.
class Letters final : public gpu::Courier {
 public:
  // Letters of another kind have connections of their own.
  enum class Kind : std::uint8_t { lanes, memory };
  Letters(Job& job, WaitPolicy policy, FailureWatch& watch, Kind kind = Kind::lanes);
  ~Letters();
  Letters(const Letters&) = delete;
  Letters& operator=(const Letters&) = delete;

  Status tell(Rank peer, ConstBytes letter) override;
  Result<std::vector<std::byte>> hear(Rank peer) override;
  Result<bool> arrived(Rank peer) override;
  // Waits until all that was told has been heard, or can be without this rank.
  Status flush();

 private:
  // A piece of a letter under way.
  struct Sheet;
  Result<std::unique_ptr<Sheet>> sheet(Rank peer, bool sends);
  Result<Sheet*> next_sheet(Rank peer);
  Status hear_sheet(Rank peer, std::vector<std::byte>& into);

  Job& job_;
  WaitPolicy policy_;
  FailureWatch& watch_;
  Streams streams_;
  std::map<Rank, Stream*> open_;
  std::list<std::unique_ptr<Sheet>> told_;
  std::map<Rank, std::unique_ptr<Sheet>> next_;  // the first sheets of letters that may come
};

}  // namespace tutti
