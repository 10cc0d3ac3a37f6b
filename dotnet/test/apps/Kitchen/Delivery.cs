using System.IO.Compression;

using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.ResponseCompression;
using Microsoft.Extensions.FileProviders;

namespace Kitchen;

/// <summary>What stands between an endpoint and the wire: compression, caches, files.</summary>
internal static class Delivery
{
    private static int s_cooked;

    internal static void AddDelivery(this IServiceCollection services)
    {
        services.AddResponseCompression(options => options.EnableForHttps = true);
        services.Configure<GzipCompressionProviderOptions>(options => options.Level = CompressionLevel.Fastest);
        services.AddRequestDecompression();
        services.AddOutputCache();
        services.AddResponseCaching();
        services.AddDistributedMemoryCache();
        services.AddRequestTimeouts(options => options.AddPolicy("short", TimeSpan.FromMilliseconds(100)));
    }

    internal static void UseDeliveryBranches(this WebApplication app)
    {
        app.Map("/compressed", branch =>
        {
            branch.UseResponseCompression();
            branch.Run(Compressible);
        });
        app.Map("/decompressed", branch =>
        {
            branch.UseRequestDecompression();
            branch.Run(async context =>
            {
                using var reader = new StreamReader(context.Request.Body);
                await context.Response.WriteAsync(await reader.ReadToEndAsync());
            });
        });
        app.Map("/cached", branch =>
        {
            branch.UseResponseCaching();
            branch.Run(async context =>
            {
                context.Response.GetTypedHeaders().CacheControl = new() { Public = true, MaxAge = TimeSpan.FromHours(1) };
                await context.Response.WriteAsync($"cooked {Interlocked.Increment(ref s_cooked)}");
            });
        });
        app.Map("/https", branch =>
        {
            branch.UseHttpsRedirection();
            branch.Run(context => context.Response.WriteAsync(context.Request.Scheme));
        });
        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
        };
        app.Map("/forwarded", branch =>
        {
            branch.UseForwardedHeaders(options);
            branch.Run(context => context.Response.WriteAsync(
                $"{context.Request.Scheme} {context.Request.Host} {context.Connection.RemoteIpAddress}"));
        });
        var large = new PhysicalFileProvider(LargeFile.Folder);
        app.UseStaticFiles(new StaticFileOptions { FileProvider = large, RequestPath = "/files" });
        app.Map("/site", branch => branch.UseFileServer(new FileServerOptions { EnableDirectoryBrowsing = false }));
    }

    internal static void MapDelivery(this WebApplication app)
    {
        app.MapGet("/output-cached", () => $"served {Interlocked.Increment(ref s_cooked)}").CacheOutput();
        app.MapGet("/timeout", async (HttpContext context) =>
        {
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        }).WithRequestTimeout("short");
        app.MapMethods("/send-file", ["GET", "HEAD"], (HttpContext context, long offset = 0, long? count = null)
            => context.Response.SendFileAsync(LargeFile.Path, offset, count));
        app.MapGet("/results-file", () => Results.File(LargeFile.Path, "application/x-large", "large.bin", enableRangeProcessing: true));
    }

    private static async Task Compressible(HttpContext context)
    {
        context.Response.ContentType = "text/plain";
        switch (context.Request.Path)
        {
            case "/flushed":
                for (var line = 0; line < 5; line++)
                {
                    await context.Response.WriteAsync($"line {line}\n");
                    await context.Response.Body.FlushAsync();
                }

                break;
            case "/unbuffered":
                context.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpResponseBodyFeature>()!.DisableBuffering();
                await context.Response.WriteAsync("as it is");
                break;
            case "/length":
                context.Response.ContentLength = 11;
                await context.Response.WriteAsync("hello world");
                break;
            default:
                await context.Response.WriteAsync(string.Concat(Enumerable.Repeat("the same again. ", 500)));
                break;
        }
    }
}
