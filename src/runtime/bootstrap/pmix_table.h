// The few functions of libpmix that are used, as a table: filled from the library at run time (nothing is linked), or by a test.
#pragma once

#include <pmix.h>

#include "tutti/result.h"

namespace tutti {

struct PmixTable {
  pmix_status_t (*init)(pmix_proc_t* me, pmix_info_t* info, size_t count) = nullptr;
  pmix_status_t (*finalize)(const pmix_info_t* info, size_t count) = nullptr;
  pmix_status_t (*put)(pmix_scope_t scope, const char* key, pmix_value_t* value) = nullptr;
  pmix_status_t (*commit)() = nullptr;
  pmix_status_t (*fence_nb)(const pmix_proc_t* who, size_t whos, const pmix_info_t* info, size_t count, pmix_op_cbfunc_t done,
                            void* context) = nullptr;
  pmix_status_t (*get)(const pmix_proc_t* owner, const char* key, const pmix_info_t* info, size_t count,
                       pmix_value_t** value) = nullptr;
  const char* (*error_string)(pmix_status_t status) = nullptr;
};

// From libpmix.so.2: the one this process has, else the launcher's, else the system's. It stays loaded: it has threads and exit
// handlers of its own.
[[nodiscard]] Result<PmixTable> load_pmix();

}  // namespace tutti
