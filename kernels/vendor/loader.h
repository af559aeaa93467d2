// Opens libetude-vendor (vendor.h) where it is there.
#pragma once

#include <string>

#include "kernels/vendor/vendor.h"

namespace etude {

struct Vendor {
  const EtudeVendor* table = nullptr;  // null: absent, for the reason `problem`
  std::string path;                    // the file that was opened
  std::string problem;
};

// Opened when first asked for, and for good. ETUDE_VENDOR names the file; without it, it is looked
// for beside the program and in the library directory of its installation.
const Vendor& vendor();

// Opens this file: what vendor() does with the one it finds.
Vendor open_vendor(const std::string& path);

}  // namespace etude
