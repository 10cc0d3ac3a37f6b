using System.Globalization;
using System.Security.Cryptography;

using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Localization;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Market;

/// <summary>Files that come in without being kept in memory, limits on them, and the reader's language.</summary>
internal static class Uploads
{
    internal static void UseUploadBranches(this WebApplication app)
    {
        // Where there are no cultures but one, all servers are alike in that.
        var cultures = new[] { "en-GB", "de-DE", "fr" }.Select(Culture).OfType<CultureInfo>().ToList();
        app.Map("/tongue", branch => branch
            .UseRequestLocalization(new RequestLocalizationOptions
            {
                DefaultRequestCulture = new RequestCulture(cultures.FirstOrDefault() ?? CultureInfo.InvariantCulture),
                SupportedCultures = cultures,
                SupportedUICultures = cultures,
                ApplyCurrentCultureToResponseHeaders = cultures.Count > 0,
            })
            .Run(async context =>
            {
                await Task.Yield();
                var feature = context.Features.Get<IRequestCultureFeature>()!;
                await context.Response.WriteAsync($"{1234.5:N1} {CultureInfo.CurrentUICulture.Name} {feature.Provider?.GetType().Name}");
            }));
    }

    internal static void Map(WebApplication app)
    {
        var group = app.MapGroup("/uploads").DisableAntiforgery();
        group.MapPost("/streamed", Streamed);
        group.MapPost("/limited", async (HttpContext context) =>
        {
            context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = 1000;
            var length = 0L;
            var buffer = new byte[300];
            while (await context.Request.Body.ReadAsync(buffer) is > 0 and var read)
            {
                length += read;
            }

            return $"{length}";
        });
        group.MapPost("/small-form", async (HttpContext context) =>
        {
            context.Features.Set<IFormFeature>(new FormFeature(
                context.Request, new FormOptions { MultipartBodyLengthLimit = 500, MultipartHeadersCountLimit = 2 }));
            var form = await context.Request.ReadFormAsync(context.RequestAborted);
            return $"{form.Files.Count}";
        });
        group.MapPost("/saved", async (IFormFile file) =>
        {
            var path = Path.GetTempFileName();
            await using (var target = File.Create(path))
            {
                await file.CopyToAsync(target);
            }

            return Results.File(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Delete, 4096, FileOptions.DeleteOnClose),
                "application/octet-stream", Path.GetFileName(file.FileName), enableRangeProcessing: true);
        });
    }

    /// <summary>Section by section, as documentation has it for files that are too large to bind.</summary>
    private static async Task<IResult> Streamed(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !request.HasFormContentType)
        {
            return Results.BadRequest("no form");
        }

        var boundary = HeaderUtilities.RemoveQuotes(type.Boundary).Value;
        if (string.IsNullOrWhiteSpace(boundary))
        {
            return Results.BadRequest("no boundary");
        }

        var told = new List<string>();
        var reader = new MultipartReader(boundary, request.Body);
        while (await reader.ReadNextSectionAsync(request.HttpContext.RequestAborted) is { } section)
        {
            if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition))
            {
                told.Add("without a name");
            }
            else if (disposition.IsFileDisposition())
            {
                using var hash = SHA256.Create();
                var digest = await hash.ComputeHashAsync(section.Body);
                told.Add($"{disposition.Name} {disposition.FileName} {Convert.ToHexString(digest)[..8]}");
            }
            else
            {
                told.Add($"{disposition.Name}={await section.ReadAsStringAsync()}");
            }
        }

        return Results.Text(string.Join('\n', told));
    }

    private static CultureInfo? Culture(string name)
    {
        try
        {
            return new CultureInfo(name);
        }
        catch (CultureNotFoundException)
        {
            return null;
        }
    }
}
