// NCCL's variables, asked for by a program: the few that NCCL publishes, as the environment has them.
#pragma once

#include <nccl.h>

#include "nccl/errors.h"

namespace tutti::nccl {

ncclResult_t param_bind(ncclParamHandle_t* handle, const char* key);
ncclResult_t param_get_str(ncclParamHandle_t handle, const char** value);
ncclResult_t param_get(ncclParamHandle_t handle, void* value, int most, int* length);
ncclResult_t param_get_parameter(const char* key, const char** value, int* length);
ncclResult_t param_get_all_parameter_keys(const char*** keys, int* count);
void param_dump_all();

template <class Integer>
ncclResult_t param_get_integer(ncclParamHandle_t handle, Integer* value);

}  // namespace tutti::nccl
