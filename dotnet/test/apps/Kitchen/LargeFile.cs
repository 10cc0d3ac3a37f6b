namespace Kitchen;

/// <summary>A file that no buffer holds. The byte at each position depends on the position alone.</summary>
internal static class LargeFile
{
    internal const int Length = 5_000_000;

    internal static string Path { get; } = Create();

    internal static string Folder => System.IO.Path.GetDirectoryName(Path)!;

    private static string Create()
    {
        var folder = Directory.CreateTempSubdirectory("kitchen");
        var path = System.IO.Path.Combine(folder.FullName, "large.bin");
        var bytes = new byte[Length];
        for (var index = 0; index < bytes.Length; index++)
        {
            bytes[index] = (byte)(index % 251);
        }

        File.WriteAllBytes(path, bytes);
        // Its validators are those of a file that never changes.
        File.SetLastWriteTimeUtc(path, new DateTime(2024, 1, 2, 3, 4, 5, DateTimeKind.Utc));
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Delete(recursive: true);
        return path;
    }
}
