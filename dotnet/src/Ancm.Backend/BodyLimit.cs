using System;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Ancm.Backend;

/// <summary>
/// Gives requests the limit of the server back, which the framework's IIS integration takes away
/// because it expects one of the host. Runs behind the integration and before the app, which may set
/// another one for a request.
/// </summary>
internal sealed class BodyLimit : IStartupFilter
{
    /// <summary>Whether the host has no limit of its own.</summary>
    internal static bool IsWanted { get; set; }

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next)
    {
        return app =>
        {
            var options = app.ApplicationServices.GetService<IOptions<KestrelServerOptions>>();
            if (options?.Value.Limits.MaxRequestBodySize is { } limit)
            {
                app.Use(inner => context => Restore(context, limit, inner));
            }

            next(app);
        };
    }

    private static Task Restore(HttpContext context, long limit, RequestDelegate inner)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false, MaxRequestBodySize: null } feature)
        {
            feature.MaxRequestBodySize = limit;
        }

        return inner(context);
    }
}
