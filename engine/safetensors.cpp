// The safetensors format: reading files that may be damaged or hostile, writing files that survive
// a crash.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/checkpoint.h"

namespace etude {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors stores little-endian numbers, and so do we, unconverted");

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::uint64_t max_header = 100'000'000;  // the format's own limit
constexpr const char* metadata_key = "__metadata__";

struct DTypeName {
  DType dtype;
  const char* name;
};
constexpr DTypeName dtype_names[] = {
    {DType::f32, "F32"}, {DType::f64, "F64"}, {DType::i64, "I64"}, {DType::u8, "U8"}};

void* bytes_of(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return tensor.data<float>();
    case DType::f64:
      return tensor.data<double>();
    case DType::i64:
      return tensor.data<std::int64_t>();
    case DType::u8:
      break;
  }
  return tensor.data<std::uint8_t>();
}

// ---- writing ------------------------------------------------------------------------------------

// A file that appears under its name only when it is whole and on disk.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path)
      : path_(path), temporary_(path.string() + ".tmp") {
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) give_up("create");
  }
  ~AtomicFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
      const ::ssize_t n = ::write(fd_, bytes, size);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) give_up("write");
      bytes += n;
      size -= static_cast<std::size_t>(n);
    }
  }

  void commit() {
    if (::fsync(fd_) != 0) give_up("sync");
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0) give_up("close");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) give_up("rename");
    temporary_.clear();
    // The new name is safe once the folder is on disk too; some file systems cannot sync a folder.
    const std::filesystem::path folder = path_.parent_path();
    const int fd =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
      ::fsync(fd);
      ::close(fd);
    }
  }

 private:
  [[noreturn]] void give_up(const char* what) {
    const std::string reason = std::strerror(errno);
    fail("{}: cannot {} the file: {}; an earlier file of this name is untouched", path_.string(),
         what, reason);
  }

  std::filesystem::path path_;
  std::string temporary_;
  int fd_ = -1;
};

// ---- reading ------------------------------------------------------------------------------------

// Parses JSON and refuses an object that has a key twice: which of the two counts is a matter of
// taste, and a way to smuggle.
Json parse_strictly(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      check(keys.back().insert(key).second, "'{}' appears twice in the header", key);
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& e) {
    fail("the header is not JSON ({})", e.what());
  }
}

std::uint64_t natural(const Json& value, const char* what) {
  check(value.is_number_unsigned(), "{} is not an array of natural numbers", what);
  return value.get<std::uint64_t>();
}

struct TensorHeader {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

DType parse_dtype(const Json& value) {
  check(value.is_string(), "dtype is not a string");
  const auto& text = value.get_ref<const std::string&>();
  for (const DTypeName& known : dtype_names)
    if (text == known.name) return known.dtype;
  fail("dtype {} is not supported (F32, F64, I64 and U8 are); convert the file to F32", text);
}

Shape parse_shape(const Json& value) {
  check(value.is_array(), "shape is not an array");
  check(value.size() <= Shape::max_rank, "shape has {} dimensions, at most {} are supported",
        value.size(), static_cast<int>(Shape::max_rank));
  std::vector<Index> dims;
  Index size = 1;
  for (const Json& dim : value) {
    const std::uint64_t n = natural(dim, "shape");
    // 16 bytes an element leave room for the multiplication by the size of any dtype.
    check(n <= std::uint64_t{1} << 58 &&
              !__builtin_mul_overflow(size, static_cast<Index>(n), &size) && size <= Index{1} << 58,
          "shape is too large");
    dims.push_back(static_cast<Index>(n));
  }
  return Shape(dims);
}

TensorHeader parse_tensor(const std::string& name, const Json& value, std::uint64_t data_size) {
  check(value.is_object() && value.size() == 3 && value.contains("dtype") &&
            value.contains("shape") && value.contains("data_offsets"),
        "expected an object of dtype, shape and data_offsets");
  TensorHeader header;
  header.name = name;
  header.dtype = parse_dtype(value["dtype"]);
  header.shape = parse_shape(value["shape"]);
  const Json& offsets = value["data_offsets"];
  check(offsets.is_array() && offsets.size() == 2, "data_offsets is not a pair");
  header.begin = natural(offsets[0], "data_offsets");
  header.end = natural(offsets[1], "data_offsets");
  check(header.begin <= header.end, "data_offsets [{}, {}] are reversed", header.begin, header.end);
  check(header.end <= data_size,
        "data_offsets [{}, {}] lie outside the {} bytes of data (is the file cut off?)",
        header.begin, header.end, data_size);
  const auto wanted = static_cast<std::uint64_t>(header.shape.size()) * size_of(header.dtype);
  check(header.end - header.begin == wanted, "{} of {} need {} bytes, data_offsets span {}",
        to_string(header.shape), to_string(header.dtype), wanted, header.end - header.begin);
  return header;
}

Metadata parse_metadata(const Json& value) {
  check(value.is_object(), "{} is not an object", metadata_key);
  Metadata metadata;
  for (const auto& [key, text] : value.items()) {
    check(text.is_string(), "{}: '{}' is not a string", metadata_key, key);
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// The format lets no byte belong to two tensors or to none.
void check_cover(std::vector<const TensorHeader*> headers, std::uint64_t data_size) {
  std::sort(headers.begin(), headers.end(), [](const TensorHeader* a, const TensorHeader* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t end = 0;
  for (const TensorHeader* header : headers) {
    check(header->begin >= end, "tensor '{}' overlaps another one", header->name);
    check(header->begin == end, "bytes {} to {} belong to no tensor", end, header->begin);
    end = header->end;
  }
  check(end == data_size, "bytes {} to {} belong to no tensor", end, data_size);
}

SafetensorsFile read(std::ifstream& stream, std::uint64_t file_size) {
  const auto read_exactly = [&](void* target, std::uint64_t size) {
    stream.read(static_cast<char*>(target), static_cast<std::streamsize>(size));
    check(static_cast<std::uint64_t>(stream.gcount()) == size, "the file ends early");
  };
  std::uint64_t header_size = 0;
  check(file_size >= sizeof header_size, "{} bytes are too few for a safetensors file", file_size);
  read_exactly(&header_size, sizeof header_size);
  check(header_size <= max_header && header_size <= file_size - sizeof header_size,
        "this is no safetensors file, or it is cut off (its header would have {} bytes of {})",
        header_size, file_size);
  std::string text(header_size, '\0');
  read_exactly(text.data(), header_size);
  const std::uint64_t data_size = file_size - sizeof header_size - header_size;

  const Json json = parse_strictly(text);
  check(json.is_object(), "the header is not a JSON object");
  SafetensorsFile file;
  std::vector<TensorHeader> headers;
  for (const auto& [name, value] : json.items()) {
    if (name == metadata_key) {
      file.metadata = parse_metadata(value);
      continue;
    }
    try {
      headers.push_back(parse_tensor(name, value, data_size));
    } catch (const Error& e) {
      fail("tensor '{}': {}", name, e.what());
    }
  }
  std::vector<const TensorHeader*> pointers;
  for (const TensorHeader& header : headers) pointers.push_back(&header);
  check_cover(std::move(pointers), data_size);

  // In the order of the data, which is the order they were written in.
  std::stable_sort(headers.begin(), headers.end(),
                   [](const TensorHeader& a, const TensorHeader& b) { return a.begin < b.begin; });
  for (const TensorHeader& header : headers) {
    Tensor tensor(header.shape, header.dtype, cpu_device);
    read_exactly(bytes_of(tensor), header.end - header.begin);
    file.tensors.emplace_back(header.name, std::move(tensor));
  }
  return file;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const Metadata& metadata) {
  // Wide elements first, so that every tensor is aligned to its element.
  std::vector<std::pair<std::string, Tensor>> sorted;
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    check(tensor.defined(), "{}: tensor '{}' is undefined", path.string(), name);
    check(name != metadata_key && names.insert(name).second,
          "{}: the tensor name '{}' is reserved or used twice", path.string(), name);
    sorted.emplace_back(name, tensor.to(cpu_device));
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return size_of(a.second.dtype()) > size_of(b.second.dtype());
  });

  OrderedJson json = OrderedJson::object();
  if (!metadata.empty()) json[metadata_key] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : sorted) {
    const DType dtype = tensor.dtype();
    const auto known = std::find_if(std::begin(dtype_names), std::end(dtype_names),
                                    [&](const DTypeName& d) { return d.dtype == dtype; });
    json[name] = {{"dtype", known->name},
                  {"shape", std::vector<Index>(tensor.shape().begin(), tensor.shape().end())},
                  {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }
  std::string header;
  try {
    header = json.dump();
  } catch (const OrderedJson::exception& e) {
    fail("{}: a name or a metadata value is not UTF-8 ({})", path.string(), e.what());
  }
  header.append((8 - header.size() % 8) % 8, ' ');  // the data starts at a multiple of 8
  const std::uint64_t header_size = header.size();
  check(header_size <= max_header, "{}: the header would have {} bytes, at most {} are allowed",
        path.string(), header_size, max_header);

  AtomicFile file(path);
  file.write(&header_size, sizeof header_size);
  file.write(header.data(), header.size());
  for (const auto& [name, tensor] : sorted) file.write(bytes_of(tensor), tensor.bytes());
  file.commit();
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  std::error_code error;
  check(std::filesystem::exists(path, error), "{}: no such file", path.string());
  check(std::filesystem::is_regular_file(path, error), "{}: not a file", path.string());
  const auto size = std::filesystem::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  check(!error && stream.is_open(), "{}: cannot be opened for reading", path.string());
  try {
    return read(stream, size);
  } catch (const Error& e) {
    fail("{}: {}", path.string(), e.what());
  }
}

}  // namespace etude
