#include "mpi/pmpi.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace tutti::mpi {
namespace {

struct Soname {
  const char* name;
  Family family;
};
// The standard ABI's library may itself load the other one.
constexpr std::array kSonames{
    Soname{"libmpi_abi.so.1", Family::standard}, Soname{"libmpi_abi.so.0", Family::standard},
    Soname{"libmpi.so.40", Family::open_mpi},    Soname{"libmpi.so.12", Family::mpich},
    Soname{"libmpich.so.12", Family::mpich},
};

// Some loaded object that has MPI's functions, though under no name that is known here.
void* look_for_mpi() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t /*size*/, void* list) {
        if (info->dlpi_name != nullptr && *info->dlpi_name != '\0')
          static_cast<decltype(names)*>(list)->emplace_back(info->dlpi_name);
        return 0;
      },
      &names);
  for (const std::string& name : names) {
    void* object = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (object == nullptr) continue;
    if (dlsym(object, "PMPI_Init") != nullptr) return object;
    dlclose(object);
  }
  return nullptr;
}

Library find_library() {
  for (const Soname& known : kSonames)
    if (void* object = dlopen(known.name, RTLD_LAZY | RTLD_NOLOAD); object != nullptr && dlsym(object, "PMPI_Init") != nullptr)
      return {known.family, object};
  fmt::print(stderr,
             "tutti: the MPI library of this program is none of Open MPI (libmpi.so.40), MPICH (libmpi.so.12) and MPI's standard "
             "ABI (libmpi_abi.so.1); all its calls are left to it\n");
  return {Family::unknown, look_for_mpi()};
}

}  // namespace

const Library& library() {
  static const Library found = find_library();
  return found;
}

// A program that is not position independent may have its own copy of a variable, which then serves the library, too.
void* find_variable(const char* name) {
  if (void* shared = dlsym(RTLD_DEFAULT, name); shared != nullptr) return shared;
  return library().object != nullptr ? dlsym(library().object, name) : nullptr;
}

void* find_function(const char* name) {
  if (library().family == Family::unknown)
    if (void* next = dlsym(RTLD_NEXT, name); next != nullptr) return next;
  std::string kept = "P";
  kept += name;
  return library().object != nullptr ? dlsym(library().object, kept.c_str()) : nullptr;
}

}  // namespace tutti::mpi
