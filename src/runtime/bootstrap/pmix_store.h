// The key-value store of launchers that speak PMIx (Open MPI's mpirun, Slurm with --mpi=pmix). Source: the PMIx standard,
// version 4.
#pragma once

#include "bootstrap/key_value_store.h"
#include "bootstrap/pmix_table.h"

namespace tutti {

class PmixStore final : public KeyValueStore {
 public:
  static Result<std::unique_ptr<KeyValueStore>> open(const PmixTable& table, TimePoint deadline);
  ~PmixStore() override;
  PmixStore(const PmixStore&) = delete;
  PmixStore& operator=(const PmixStore&) = delete;

  [[nodiscard]] Rank rank() const override { return static_cast<Rank>(me_.rank); }
  [[nodiscard]] Rank size() const override { return size_; }
  Status put(const std::string& key, const std::string& value) override;
  Status fence() override;
  Result<std::string> get(Rank owner, const std::string& key) override;
  Status finish() override;

 private:
  PmixStore(const PmixTable& table, TimePoint deadline) : table_(table), deadline_(deadline) {}
  Error failed(pmix_status_t status, std::string_view what) const;
  // The value of another process's key; who asks frees what it points to.
  Result<pmix_value_t> fetch(pmix_rank_t owner, const std::string& key);
  [[nodiscard]] int seconds_left() const;

  PmixTable table_;
  TimePoint deadline_;
  pmix_proc_t me_{};
  Rank size_ = 0;
  bool active_ = false;
};

}  // namespace tutti
