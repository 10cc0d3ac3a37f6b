// What needs native libraries: compression (which needs libm without saying so), ICU and OpenSSL.

using System.Globalization;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;

namespace Site;

internal static class NativeLibraries
{
    public static Task GZip(HttpContext context)
        => RoundTrip(context, to => new GZipStream(to, CompressionLevel.SmallestSize), from => new GZipStream(from, CompressionMode.Decompress));

    public static Task Brotli(HttpContext context)
        => RoundTrip(context, to => new BrotliStream(to, CompressionLevel.SmallestSize), from => new BrotliStream(from, CompressionMode.Decompress));

    public static Task ZLib(HttpContext context)
        => RoundTrip(context, to => new ZLibStream(to, CompressionLevel.SmallestSize), from => new ZLibStream(from, CompressionMode.Decompress));

    // Turkish has a capital I with a dot; only ICU knows.
    public static Task Icu(HttpContext context)
    {
        var turkish = CultureInfo.GetCultureInfo("tr-TR");
        var german = CultureInfo.GetCultureInfo("de-DE");
        return context.Response.WriteAsync(
            $"{"istanbul".ToUpper(turkish)} {1234.5.ToString("N", german)} {string.Compare("ä", "z", german, CompareOptions.None) < 0}");
    }

    public static Task OpenSsl(HttpContext context)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var data = Encoding.UTF8.GetBytes("signed");
        var signature = key.SignData(data, HashAlgorithmName.SHA256);
        var hash = Convert.ToHexString(SHA256.HashData(data)).ToLowerInvariant();
        return context.Response.WriteAsync($"{hash} {key.VerifyData(data, signature, HashAlgorithmName.SHA256)}");
    }

    private static async Task RoundTrip(HttpContext context, Func<Stream, Stream> compress, Func<Stream, Stream> expand)
    {
        var text = string.Concat(Enumerable.Repeat("compress me ", 10_000));
        using var packed = new MemoryStream();
        using (var stream = compress(packed))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
        }

        var bytes = packed.ToArray();
        using var unpacked = expand(new MemoryStream(bytes));
        using var reader = new StreamReader(unpacked);
        var isSame = await reader.ReadToEndAsync() == text;
        await context.Response.WriteAsync($"{isSame} {bytes.Length < text.Length / 100}");
    }
}
