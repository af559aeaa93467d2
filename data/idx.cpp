#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <memory>

#include "data/files.h"

namespace etude::data {
namespace {

namespace fs = std::filesystem;

// zlib's reader takes plain files as they are.
class GzipFile {
 public:
  explicit GzipFile(const fs::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    check(file_ != nullptr, "idx: {}: cannot be opened", path.string());
    gzbuffer(file_, 1 << 17);
  }
  ~GzipFile() { gzclose_r(file_); }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  // Up to n bytes; fewer at the end of the file.
  std::size_t read(std::uint8_t* to, std::size_t n) {
    const int got = gzread(file_, to, static_cast<unsigned>(n));
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    check(got >= 0 && code == Z_OK, "idx: {}: damaged gzip data ({}); download the file again",
          path_.string(), message ? message : "unknown error");
    return static_cast<std::size_t>(got);
  }

 private:
  const fs::path& path_;
  gzFile file_;
};

// Both spellings of the published files, packed or not; the unpacked one first.
std::vector<std::string> spellings(const std::string& stem, int rank) {
  std::vector<std::string> names;
  for (const char* separator : {"-", "."})
    for (const char* ending : {"", ".gz"})
      names.push_back(fmt::format("{}{}idx{}-ubyte{}", stem, separator, rank, ending));
  return names;
}

fs::path find_in(const fs::path& folder, const std::string& stem, int rank) {
  std::error_code error;
  for (const std::string& name : spellings(stem, rank))
    if (fs::is_regular_file(folder / name, error)) return folder / name;
  return {};
}

// The folder of the training images.
fs::path find_folder(const fs::path& root) {
  return find_one_below(root, "train-images-idx3-ubyte", [](const fs::directory_entry& entry) {
    std::error_code error;
    return entry.is_directory(error) && !find_in(entry.path(), "train-images", 3).empty();
  });
}

std::vector<std::string> class_names(const fs::path& folder, int count) {
  static const std::vector<std::string> garments = {
      "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
      "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  std::string path = fs::weakly_canonical(folder).string();
  for (char& c : path) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (path.find("fashion") != std::string::npos && count <= 10) return garments;
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

// Appends one pair of files.
void load_pair(const fs::path& folder, const std::string& stem, const std::string& split,
               Dataset& out) {
  const fs::path image_file = find_in(folder, stem + "-images", 3);
  const fs::path label_file = find_in(folder, stem + "-labels", 1);
  check(!label_file.empty(), "idx: {}: there are {}-images but no {}-labels-idx1-ubyte[.gz]",
        folder.string(), stem, stem);
  const IdxArray images = read_idx(image_file, 3), labels = read_idx(label_file, 1);
  check(images.dims[0] == labels.dims[0], "idx: {} has {} images, {} has {} labels",
        image_file.string(), images.dims[0], label_file.string(), labels.dims[0]);
  const int height = images.dims[1], width = images.dims[2];
  check(out.items.empty() || (height == out.images.height && width == out.images.width),
        "idx: {} has images of {}x{}, the training images are {}x{}", image_file.string(), height,
        width, out.images.height, out.images.width);
  out.images.height = height;
  out.images.width = width;
  const int first = static_cast<int>(out.items.size());
  out.images.pixels.insert(out.images.pixels.end(), images.bytes.begin(), images.bytes.end());
  for (int i = 0; i < images.dims[0]; ++i) {
    Item item;
    item.id = fmt::format("idx/{}/{}", stem, i);
    item.image = first + i;
    item.label = labels.bytes[i];
    item.split = split;
    out.items.push_back(std::move(item));
  }
}

}  // namespace

IdxArray read_idx(const fs::path& path, int rank) {
  GzipFile file(path);
  std::uint8_t header[4 + 4 * 4];
  const std::size_t header_bytes = 4 + 4 * static_cast<std::size_t>(rank);
  check(rank >= 1 && rank <= 4, "idx: rank {}; expected 1 to 4", rank);
  check(file.read(header, header_bytes) == header_bytes,
        "idx: {}: shorter than an IDX header of {} bytes", path.string(), header_bytes);
  check(
      header[0] == 0 && header[1] == 0 && header[2] == 8 && header[3] == rank,
      "idx: {}: begins with {:02x} {:02x} {:02x} {:02x}; expected 00 00 08 {:02x} (unsigned bytes "
      "of rank {})",
      path.string(), header[0], header[1], header[2], header[3], rank, rank);

  IdxArray array;
  std::uint64_t elements = 1;
  for (int i = 0; i < rank; ++i) {
    const std::uint8_t* b = header + 4 + 4 * i;
    const std::uint64_t dim = std::uint64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
    // 2^31 elements are far beyond any such data set, and keep the product exact.
    check(dim > 0 && dim <= std::uint64_t{std::numeric_limits<int>::max()} / elements,
          "idx: {}: dimension {} is {}; expected at least 1 and less than 2^31 elements in all",
          path.string(), i, dim);
    elements *= dim;
    array.dims.push_back(static_cast<int>(dim));
  }
  // Read in blocks: a header that promises too much must not cost the memory it promises.
  constexpr std::size_t block = 1 << 20;
  while (array.bytes.size() < elements) {
    const std::size_t at = array.bytes.size();
    const std::size_t wanted = std::min<std::size_t>(block, elements - at);
    array.bytes.resize(at + wanted);
    const std::size_t got = file.read(array.bytes.data() + at, wanted);
    check(got == wanted, "idx: {}: cut short: {} of {} bytes; download the file again",
          path.string(), at + got, elements);
  }
  std::uint8_t extra;
  check(file.read(&extra, 1) == 0, "idx: {}: more bytes follow the {} that its header announces",
        path.string(), elements);
  return array;
}

bool looks_like_idx(const fs::path& root) {
  std::error_code error;
  return fs::is_directory(root, error) && !find_folder(root).empty();
}

Dataset load_idx(const fs::path& root) {
  check_root("idx", root);
  const fs::path folder = find_folder(root);
  check(!folder.empty(),
        "idx: {}: no train-images-idx3-ubyte[.gz] below it; expected the files of MNIST or "
        "Fashion-MNIST",
        root.string());
  Dataset out;
  out.kind = "idx";
  out.roots.push_back({root, "idx", {0, 1}, {}});
  const bool test = !find_in(folder, "t10k-images", 3).empty();
  load_pair(folder, "train", test ? "train" : "", out);
  if (test)
    load_pair(folder, "t10k", "test", out);
  else
    out.notes.push_back(fmt::format(
        "idx: {}: no t10k-images-idx3-ubyte[.gz]: the test part is drawn from the training images",
        folder.string()));
  int classes = 0;
  for (const Item& item : out.items) classes = std::max(classes, item.label + 1);
  out.classes = class_names(folder, classes);
  return out;
}

}  // namespace etude::data
