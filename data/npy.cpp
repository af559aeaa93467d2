#include "data/npy.h"

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "data/files.h"
#include "engine/error.h"

// The format (numpy.lib.format): magic, version, header length (little-endian, 2 bytes in version
// 1, 4 after), a Python dictionary literal padded with spaces, then the elements.
namespace etude::data {
namespace {

static_assert(std::endian::native == std::endian::little, ".npy data is copied as it lies");

constexpr std::string_view kMagic = "\x93NUMPY";

template <class T>
constexpr const char* descr_of();
template <>
constexpr const char* descr_of<float>() {
  return "<f4";
}
template <>
constexpr const char* descr_of<double>() {
  return "<f8";
}
template <>
constexpr const char* descr_of<std::int64_t>() {
  return "<i8";
}

// Number of elements; Error when it does not fit into memory's address space.
std::size_t element_count(const std::string& file, const std::vector<Index>& shape) {
  std::size_t count = 1;
  for (const Index dim : shape) {
    check(dim >= 0, "{}: expected dimensions of 0 or more, got {}", file, dim);
    const auto n = static_cast<std::size_t>(dim);
    check(n == 0 || count <= std::numeric_limits<std::size_t>::max() / sizeof(double) / n,
          "{}: a shape of more elements than memory can hold", file);
    count *= n;
  }
  return count;
}

// Reads the dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderParser {
 public:
  HeaderParser(std::string file, std::string_view text) : file_(std::move(file)), text_(text) {}

  std::string descr;
  std::vector<Index> shape;

  void parse() {
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        descr = quoted();
        has_descr = true;
      } else if (key == "fortran_order") {
        check(!boolean(), "{}: in Fortran order; save it with numpy.ascontiguousarray", file_);
        has_order = true;
      } else if (key == "shape") {
        tuple();
        has_shape = true;
      } else {
        malformed("an unknown key");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) malformed("text after the dictionary");
    if (!has_descr || !has_order || !has_shape) malformed("no descr, fortran_order or shape");
  }

 private:
  [[noreturn]] void malformed(const char* what) const {
    fail("{}: damaged .npy header: {}", file_, what);
  }
  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed(fmt::format("expected '{}'", c).c_str());
  }
  std::string quoted() {
    skip_space();
    const char quote = text_.empty() ? '\0' : text_[0];
    if (quote != '\'' && quote != '"') malformed("expected a string");
    const std::size_t end = text_.find(quote, 1);
    if (end == std::string_view::npos) malformed("a string without end");
    const std::string value(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(0, word.size()) != word) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    malformed("expected True or False");
  }
  void tuple() {
    shape.clear();
    expect('(');
    while (!accept(')')) {
      skip_space();
      Index value = 0;
      std::size_t digits = 0;
      for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits) {
        if (digits == 18) malformed("a dimension of more than 18 digits");
        value = 10 * value + (text_[digits] - '0');
      }
      if (digits == 0) malformed("expected a dimension");
      if (shape.size() == 32) malformed("more than 32 dimensions");
      text_.remove_prefix(digits);
      shape.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string file_;
  std::string_view text_;
};

template <class T>
std::vector<T> values_of(const std::string& file, std::string_view bytes, std::size_t count) {
  check(bytes.size() == count * sizeof(T), "{}: expected {} bytes for its shape, found {}", file,
        count * sizeof(T), bytes.size());
  std::vector<T> values(count);
  if (count) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

template <class T>
void write_npy(const std::filesystem::path& path, const std::vector<T>& values,
               const std::vector<Index>& shape) {
  const std::size_t count = element_count(path.string(), shape);
  check(count == values.size(), "{}: {} values for a shape of {}", path.string(), values.size(),
        count);
  std::string dims;
  for (const Index dim : shape) dims += fmt::format("{}, ", dim);
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  if (shape.size() == 1) dims.resize(dims.size() - 1);  // (3,)
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   descr_of<T>(), dims);
  // The data begins at a multiple of 64 bytes.
  header.append(63 - (kMagic.size() + 4 + header.size()) % 64, ' ');
  header += '\n';

  std::string bytes(kMagic);
  bytes += '\x01';
  bytes += '\x00';
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  write_file(path, bytes);
}

template void write_npy(const std::filesystem::path&, const std::vector<float>&,
                        const std::vector<Index>&);
template void write_npy(const std::filesystem::path&, const std::vector<double>&,
                        const std::vector<Index>&);
template void write_npy(const std::filesystem::path&, const std::vector<std::int64_t>&,
                        const std::vector<Index>&);

NpyArray read_npy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const std::string content = read_file(path);
  std::string_view rest = content;
  check(rest.substr(0, kMagic.size()) == kMagic && rest.size() >= kMagic.size() + 2,
        "{}: not a .npy file", file);
  const int version = static_cast<unsigned char>(rest[kMagic.size()]);
  check(version >= 1 && version <= 3, "{}: .npy version {}; expected 1 to 3", file, version);
  rest.remove_prefix(kMagic.size() + 2);
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  check(rest.size() >= length_bytes, "{}: cut short within the .npy header", file);
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(rest[i])) << (8 * i);
  rest.remove_prefix(length_bytes);
  check(length <= rest.size(), "{}: cut short within the .npy header", file);

  HeaderParser header(file, rest.substr(0, length));
  header.parse();
  rest.remove_prefix(length);
  const std::size_t count = element_count(file, header.shape);
  if (header.descr == descr_of<float>()) return {header.shape, values_of<float>(file, rest, count)};
  if (header.descr == descr_of<double>())
    return {header.shape, values_of<double>(file, rest, count)};
  if (header.descr == descr_of<std::int64_t>())
    return {header.shape, values_of<std::int64_t>(file, rest, count)};
  fail("{}: elements of type {}; expected <f4, <f8 or <i8 (float32, float64 or int64)", file,
       header.descr);
}

}  // namespace etude::data
