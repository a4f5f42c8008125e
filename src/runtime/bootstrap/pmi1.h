// A client of PMI-1, the line protocol between MPICH's (and Intel's) Hydra or Slurm (--mpi=pmi2) and the processes they start:
// "cmd=put kvsname=K key=A value=B\n", answered by "cmd=put_result rc=0 msg=success\n". Source: "PMI: A Scalable Parallel
// Process-Management Interface for Extreme-Scale Systems" (Balaji et al., EuroMPI 2010), and what Hydra 4.0 was seen to say.
#pragma once

#include <map>

#include "bootstrap/key_value_store.h"
#include "core/fd.h"

namespace tutti {

class Pmi1Store final : public KeyValueStore {
 public:
  // Over PMI_FD (this process's rank and size come from the variables) or PMI_PORT (the proxy tells them).
  static Result<std::unique_ptr<KeyValueStore>> open(const Launch& launch, TimePoint deadline);

  [[nodiscard]] Rank rank() const override { return rank_; }
  [[nodiscard]] Rank size() const override { return size_; }
  Status put(const std::string& key, const std::string& value) override;
  Status fence() override;
  Result<std::string> get(Rank owner, const std::string& key) override;
  Status finish() override;

 private:
  using Fields = std::map<std::string, std::string, std::less<>>;

  explicit Pmi1Store(TimePoint deadline) : deadline_(deadline) {}
  Status connect(const PmiContact& contact);
  Status open_session();
  // Sends a line and reads the answer, which must be of the kind `expected` and have no rc other than 0.
  Result<Fields> ask(const std::string& line, std::string_view expected);
  Result<Fields> answer(std::string_view expected);
  Status send_line(std::string_view rest);
  Result<std::string> read_line();
  Status wait_for(short events, std::string_view what);
  [[nodiscard]] std::string full_key(Rank owner, const std::string& key) const;

  Fd fd_;
  TimePoint deadline_;
  Rank rank_ = kNoRank;
  Rank size_ = 0;
  std::string space_;  // the name of the job's key-value space
  std::size_t key_max_ = 0;
  std::size_t value_max_ = 0;
  std::string read_;
};

}  // namespace tutti
