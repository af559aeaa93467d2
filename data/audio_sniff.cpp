// What a file is, by its first bytes: so that the message about a file we cannot read helps.
#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "data/audio_decode.h"
#include "engine/error.h"

namespace etude::data {

namespace fs = std::filesystem;

namespace {

using Bytes = std::string_view;

unsigned char byte(Bytes b, std::size_t i) {
  return i < b.size() ? static_cast<unsigned char>(b[i]) : 0;
}

bool has(Bytes b, std::size_t offset, Bytes magic) {
  return b.size() >= offset + magic.size() && b.substr(offset, magic.size()) == magic;
}

// A valid MPEG audio frame header: 11 sync bits, no reserved version, layer, bit rate or rate.
bool is_mpeg_frame(Bytes b) {
  return byte(b, 0) == 0xff && (byte(b, 1) & 0xe0) == 0xe0 && (byte(b, 1) & 0x18) != 0x08 &&
         (byte(b, 1) & 0x06) != 0 && (byte(b, 2) & 0xf0) != 0xf0 && (byte(b, 2) & 0x0c) != 0x0c;
}

bool is_text(Bytes b) {
  return std::all_of(b.begin(), b.end(), [](unsigned char c) {
    return c >= 0x20 ? c != 0x7f : (c == '\n' || c == '\r' || c == '\t' || c == '\f');
  });
}

struct Magic {
  std::size_t offset;
  Bytes bytes;
  const char* description;
};

constexpr std::array not_supported{
    Magic{4, "ftyp", "an MPEG-4 file (m4a, mp4)"},
    Magic{0, "0&\xb2u", "a Windows Media file (wma, asf)"},
    Magic{0, "\x1a\x45\xdf\xa3", "a Matroska file (webm, mka)"},
    Magic{0, "ADIF", "an AAC stream"},
    Magic{0, "#!AMR", "an AMR file"},
    Magic{0, "MAC ", "a Monkey's Audio file"},
    Magic{0, "wvpk", "a WavPack file"},
    Magic{0, "caff", "a Core Audio file"},
    Magic{0, ".snd", "a Sun audio file"},
    Magic{0, "MThd", "a MIDI file, which is a score and not a recording"},
    Magic{0, "\xff\xd8\xff", "a JPEG picture"},
    Magic{0, "\x89PNG", "a PNG picture"},
    Magic{0, "GIF8", "a GIF picture"},
    Magic{0, "%PDF", "a PDF document"},
    Magic{0, "PK\x03\x04", "a zip archive (unpack it first)"},
    Magic{0, "Rar!", "a rar archive (unpack it first)"},
    Magic{0, "7z\xbc\xaf", "a 7z archive (unpack it first)"},
    Magic{0, "\x1f\x8b", "a gzip file (unpack it first)"},
    Magic{0, "version https://git-lfs", "a Git LFS pointer (fetch the file itself: git lfs pull)"},
};

FileKind kind_of(Bytes b) {
  if (has(b, 8, "WAVE") && (has(b, 0, "RIFF") || has(b, 0, "RIFX") || has(b, 0, "RF64")))
    return {FileKind::sndfile, "a WAV file"};
  if (has(b, 0, "fLaC")) return {FileKind::sndfile, "a FLAC file"};
  if (has(b, 0, "OggS")) return {FileKind::sndfile, "an Ogg file"};
  if (has(b, 0, "FORM") && (has(b, 8, "AIFF") || has(b, 8, "AIFC")))
    return {FileKind::sndfile, "an AIFF file"};
  for (const Magic& magic : not_supported)
    if (has(b, magic.offset, magic.bytes)) return {FileKind::none, magic.description};
  const bool utf16 = (has(b, 0, "\xff\xfe") && byte(b, 3) == 0 && byte(b, 5) == 0) ||
                     (has(b, 0, "\xfe\xff") && byte(b, 2) == 0 && byte(b, 4) == 0);
  if (utf16) return {FileKind::none, "a text file"};
  if (is_mpeg_frame(b)) return {FileKind::mpg123, "an mp3 file"};
  if (byte(b, 0) == 0xff && (byte(b, 1) & 0xf6) == 0xf0) return {FileKind::none, "an AAC stream"};
  if (is_text(b)) {
    std::string head(b.substr(0, 512));
    for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool html = head.find("<html") != head.npos || head.find("<!doctype html") != head.npos;
    return {FileKind::none, html ? "a web page (a download that failed?)" : "a text file"};
  }
  if (b.find_first_not_of('\0') == b.npos)
    return {FileKind::none, "a file of zero bytes (a download that broke off?)"};
  return {FileKind::none, "a file of an unknown kind"};
}

Bytes view(const std::string& bytes) { return bytes; }

}  // namespace

FileKind sniff_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::exists(status), "{}: no such audio file", path.string());
  check(!fs::is_directory(status), "{}: a folder; expected an audio file", path.string());
  check(fs::is_regular_file(status), "{}: a device or a pipe; expected an audio file",
        path.string());
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "{}: the audio file cannot be opened ({})", path.string(), std::strerror(errno));
  const auto read_at = [&](std::uint64_t offset) {
    std::string bytes(4096, '\0');
    in.clear();
    in.seekg(static_cast<std::streamoff>(offset));
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    return bytes;
  };
  std::string head = read_at(0);
  check(!head.empty(), "{}: an empty file; expected audio", path.string());
  if (!has(head, 0, "ID3")) return kind_of(head);
  // An ID3v2 tag (28-bit size, 7 bits a byte; cover pictures make it long) may precede any format.
  std::uint64_t offset = 0;
  for (int tags = 0; tags < 8 && has(head, 0, "ID3") && head.size() >= 10; ++tags) {
    std::uint64_t size = 10 + ((byte(head, 5) & 0x10) ? 10 : 0);
    for (std::size_t i = 0, shift = 21; i < 4; ++i, shift -= 7)
      size += std::uint64_t{byte(head, 6 + i) & 0x7fu} << shift;
    head = read_at(offset += size);
  }
  if (has(view(head), 0, "fLaC")) return {FileKind::sndfile, "a FLAC file"};
  check(!head.empty(), "{}: an ID3 tag without audio behind it; the file is cut off",
        path.string());
  return {FileKind::mpg123, "an mp3 file"};
}

}  // namespace etude::data
