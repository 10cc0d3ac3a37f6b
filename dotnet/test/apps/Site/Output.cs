// What an application writes to its streams, by managed and by native code.

using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Site;

internal static class Output
{
    // `lines` numbered lines of about 100 bytes on both streams, then ok.
    public static async Task Flood(HttpContext context)
    {
        var count = int.Parse(context.Request.Query["lines"].ToString(), CultureInfo.InvariantCulture);
        var rest = new string('.', 80);
        for (var line = 0; line < count; line++)
        {
            Console.Out.WriteLine($"out {line} {rest}");
            Console.Error.WriteLine($"err {line} {rest}");
        }

        await context.Response.WriteAsync("ok");
    }

    // The text on a stream by a way: console, stream or native.
    public static async Task Write(HttpContext context)
    {
        var query = context.Request.Query;
        var text = query["text"].ToString();
        var isError = query["to"] == "stderr";
        switch (query["by"].ToString())
        {
            case "native":
                var bytes = Encoding.UTF8.GetBytes(text + "\n");
                _ = NativeWrite(isError ? 2 : 1, bytes, bytes.Length);
                break;
            case "garbage":
                using (var stream = isError ? Console.OpenStandardError() : Console.OpenStandardOutput())
                {
                    stream.Write([0, 0xff, 0xfe, 0x80, 0x1b, (byte)'[', (byte)'2', (byte)'J', (byte)'\r']);
                    stream.Write(Encoding.UTF8.GetBytes(text + "\n"));
                }

                break;
            default:
                (isError ? Console.Error : Console.Out).WriteLine(text);
                break;
        }

        await context.Response.WriteAsync("ok");
    }

    [DllImport("libc", EntryPoint = "write")]
    private static extern nint NativeWrite(int descriptor, byte[] bytes, nint count);
}
