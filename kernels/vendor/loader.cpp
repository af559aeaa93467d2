#include "kernels/vendor/loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <vector>

namespace etude {
namespace {

constexpr const char* file_name = "libetude-vendor.so";

// The folder of the running program, with a slash; empty where the system does not tell.
std::string program_folder() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return {};
  const std::string text(path, static_cast<std::size_t>(length));
  return text.substr(0, text.rfind('/') + 1);
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Vendor find_vendor() {
  if (const char* path = std::getenv("ETUDE_VENDOR"); path && *path) return open_vendor(path);
  const std::string folder = program_folder();
  std::vector<std::string> places = {folder + file_name};
#ifdef ETUDE_BIN_TO_LIB
  places.push_back(folder + ETUDE_BIN_TO_LIB + "/" + file_name);
#endif
  std::string looked;
  for (const std::string& place : places) {
    if (exists(place)) return open_vendor(place);
    looked += (looked.empty() ? "" : " nor ") + place;
  }
  return {nullptr, "", "not found as " + looked + "; ETUDE_VENDOR=FILE names another place"};
}

}  // namespace

Vendor open_vendor(const std::string& path) {
  Vendor result;
  result.path = path;
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* text = dlerror();
    result.problem = text ? text : path + " cannot be opened";
    return result;
  }
  const auto entry = reinterpret_cast<EtudeVendorEntry>(dlsym(library, ETUDE_VENDOR_SYMBOL));
  const EtudeVendor* const table = entry ? entry() : nullptr;
  if (!table) {
    result.problem = path + ": not a vendor library of etude (it has no `" ETUDE_VENDOR_SYMBOL "`)";
  } else if (table->version != ETUDE_VENDOR_VERSION) {
    result.problem = path + ": version " + std::to_string(table->version) +
                     " of the interface, this program speaks version " +
                     std::to_string(ETUDE_VENDOR_VERSION);
  } else {
    result.table = table;
  }
  if (!result.table) dlclose(library);
  return result;
}

const Vendor& vendor() {
  static const auto& found = *new Vendor(find_vendor());
  return found;
}

}  // namespace etude
