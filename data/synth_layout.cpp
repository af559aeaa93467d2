// The annotation files of each layout, as the real data sets have them.
#include "data/synth_layout.h"

#include <algorithm>
#include <cmath>

#include "data/csv.h"
#include "data/files.h"

namespace etude::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDeamFolder = "annotations/annotations averaged per song";

double rounded(double x, int decimals) {
  const double scale = std::pow(10, decimals);
  return std::round(x * scale) / scale;
}

// "6.2,0.87": mean and deviation on DEAM's scale of 1 to 9.
std::string deam_score(Rating r) {
  return fmt::format("{},{}", rounded(1 + 8 * r.mean, 1), rounded(8 * r.deviation, 2));
}

// The extreme of the moments, as the listeners' separate answer to "at its most", "at its least".
std::string deam_extreme(const std::vector<Rating>& moments, bool most) {
  const auto by_mean = [](const Rating& a, const Rating& b) { return a.mean < b.mean; };
  return deam_score(most ? *std::max_element(moments.begin(), moments.end(), by_mean)
                         : *std::min_element(moments.begin(), moments.end(), by_mean));
}

std::string deam_dynamic(const std::vector<CorpusSong>& songs,
                         std::vector<Rating> SongRatings::*axis) {
  const auto longest =
      std::max_element(songs.begin(), songs.end(), [](const CorpusSong& a, const CorpusSong& b) {
        return a.ratings.seconds.size() < b.ratings.seconds.size();
      });
  std::string text = "song_id";
  for (const double s : longest->ratings.seconds)
    text += fmt::format(", sample_{}ms", std::lround(1000 * s));
  text += '\n';
  for (const CorpusSong& song : songs) {
    text += fmt::format("{}", song.id);
    // Rows end with the song; the scale is -1 to 1.
    for (const Rating& r : song.ratings.*axis) text += fmt::format(",{:.6g}", 2 * r.mean - 1);
    text += '\n';
  }
  return text;
}

void write_deam(const fs::path& root, const std::vector<CorpusSong>& songs) {
  // Leading spaces, a space inside a name, CRLF, and other columns in the second file: as
  // published.
  std::string clips = "song_id, valence_mean, valence_std, arousal_mean, arousal_std\r\n";
  std::string full_length =
      "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, valence_min_mean, "
      "valence_min_std, arousal_mean, arousal_std, arousal_max_mean, arousal_max_std, "
      "arousal_min_mean, arousal_min_std\r\n";
  std::string metadata[3] = {"song_id,file_name,Artist,Song title,Genre\n",
                             "Id,Artist,Track,Genre\n", "id,Filename,title,artist\n"};
  for (const CorpusSong& song : songs) {
    const SongRatings& r = song.ratings;
    const std::string artist = csv_field(song.artist_name), title = csv_field(song.title);
    if (song.id <= 1000) {
      // Published with the two exchanged.
      clips += fmt::format("{},{},{}\r\n", song.id, deam_score(r.arousal), deam_score(r.valence));
      metadata[0] += fmt::format("{0},{0}.mp3,{1},{2},Synthetic\n", song.id, artist, title);
    } else if (song.id <= 2000) {
      clips += fmt::format("{},{},{}\r\n", song.id, deam_score(r.valence), deam_score(r.arousal));
      metadata[1] += fmt::format("{},{},{},Synthetic\n", song.id, artist, title);
    } else {
      full_length +=
          fmt::format("{},{},{},{},{},{},{}\r\n", song.id, deam_score(r.valence),
                      deam_extreme(r.valence_at, true), deam_extreme(r.valence_at, false),
                      deam_score(r.arousal), deam_extreme(r.arousal_at, true),
                      deam_extreme(r.arousal_at, false));
      metadata[2] += fmt::format("{0},{0}.mp3,{1},{2}\n", song.id, title, artist);
    }
  }
  const fs::path folder = root / kDeamFolder;
  for (int i = 0; i < 3; ++i)
    write_file(root / fmt::format("metadata/metadata_{}.csv", 2013 + i), metadata[i]);
  const fs::path dynamic = folder / "dynamic (per second annotations)";
  write_file(dynamic / "arousal.csv", deam_dynamic(songs, &SongRatings::arousal_at));
  write_file(dynamic / "valence.csv", deam_dynamic(songs, &SongRatings::valence_at));
  write_file(folder / "song_level/static_annotations_averaged_songs_2000_2058.csv", full_length);
  write_file(folder / "song_level/static_annotations_averaged_songs_1_2000.csv", clips);
}

// "02:35"
std::string clock(double seconds) {
  const auto whole = static_cast<int>(seconds);
  return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

void write_pmemo(const fs::path& root, const std::vector<CorpusSong>& songs) {
  std::string metadata =
      "musicId,fileName,title,artist,album,duration,chorus_start_time,chorus_end_time\n";
  std::string means = "musicId,Arousal(mean),Valence(mean)\n";
  std::string deviations = "musicId,Arousal(std),Valence(std)\n";
  std::string means_at = "musicId,frameTime,Arousal(mean),Valence(mean)\n";
  std::string deviations_at = "musicId,frameTime,Arousal(std),Valence(std)\n";
  for (const CorpusSong& song : songs) {
    const double start = 30 + song.id % 90;
    metadata +=
        fmt::format("{0},{0}.mp3,{1},{2},{3},{4:.2f},{5},{6}\n", song.id, csv_field(song.title),
                    csv_field(song.artist_name),
                    csv_field(fmt::format("{}, Vol. {}", song.artist_name, song.id % 3 + 1)),
                    song.song.seconds, clock(start), clock(start + song.song.seconds));
    if (!song.annotated) continue;
    const SongRatings& r = song.ratings;
    means += fmt::format("{},{:.6g},{:.6g}\n", song.id, r.arousal.mean, r.valence.mean);
    deviations +=
        fmt::format("{},{:.6g},{:.6g}\n", song.id, r.arousal.deviation, r.valence.deviation);
    for (std::size_t i = 1; i < r.seconds.size(); ++i) {  // from 15.5 s on
      means_at += fmt::format("{},{:.1f},{:.6g},{:.6g}\n", song.id, r.seconds[i],
                              r.arousal_at[i].mean, r.valence_at[i].mean);
      deviations_at += fmt::format("{},{:.1f},{:.6g},{:.6g}\n", song.id, r.seconds[i],
                                   r.arousal_at[i].deviation, r.valence_at[i].deviation);
    }
  }
  const fs::path folder = root / "PMEmo2019";
  write_file(folder / "metadata.csv", metadata);
  write_file(folder / "annotations/dynamic_annotations.csv", means_at);
  write_file(folder / "annotations/dynamic_annotations_std.csv", deviations_at);
  write_file(folder / "annotations/static_annotations_std.csv", deviations);
  write_file(folder / "annotations/static_annotations.csv", means);
}

void write_groups(const fs::path& root, const std::vector<CorpusSong>& songs) {
  std::string text = "file,artist,split,valence,arousal\n";
  for (const CorpusSong& song : songs)
    text += fmt::format("{},{},{},{:.6g},{:.6g}\n", csv_field(song.file.generic_string()),
                        csv_field(song.artist_name), song.split, song.ratings.valence.mean,
                        song.ratings.arousal.mean);
  write_file(root / "groups.csv", text);
}

}  // namespace

void write_annotations(const fs::path& root, const SynthOptions& options,
                       const std::vector<CorpusSong>& songs) {
  switch (options.layout) {
    case SynthLayout::deam:
      return write_deam(root, songs);
    case SynthLayout::pmemo:
      return write_pmemo(root, songs);
    case SynthLayout::folder:
      return write_groups(root, songs);
  }
}

}  // namespace etude::data
