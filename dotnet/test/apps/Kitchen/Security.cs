using System.Security.Claims;
using System.Threading.RateLimiting;

using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.RateLimiting;

namespace Kitchen;

/// <summary>Who may: cookies, roles, tokens, origins, limits, sessions.</summary>
internal static class Security
{
    internal static void AddSecurity(this IServiceCollection services)
    {
        services.AddAuthentication(CookieAuthenticationDefaults.AuthenticationScheme).AddCookie(options =>
        {
            options.Cookie.Name = "who";
            options.LoginPath = "/login";
            options.AccessDeniedPath = "/denied";
            options.Events.OnRedirectToLogin = context => Redirect(context, StatusCodes.Status401Unauthorized);
            options.Events.OnRedirectToAccessDenied = context => Redirect(context, StatusCodes.Status403Forbidden);
        });
        services.AddAuthorization(options => options.AddPolicy("chef", policy => policy.RequireRole("chef")));
        services.AddAntiforgery(options => options.HeaderName = "X-Token");
        services.AddSession(options => options.Cookie.Name = "visit");
        services.AddCors(options => options.AddDefaultPolicy(policy => policy
            .WithOrigins("https://friend.example")
            .WithMethods("GET", "PUT")
            .WithHeaders("X-Wish")
            .WithExposedHeaders("X-Seen")
            .AllowCredentials()));
        services.AddHttpsRedirection(options => options.HttpsPort = 5443);
        services.AddHsts(options => options.ExcludedHosts.Clear());
        services.AddRateLimiter(options =>
        {
            options.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
            options.OnRejected = (rejected, _) =>
            {
                rejected.HttpContext.Response.Headers.RetryAfter = "3600";
                return ValueTask.CompletedTask;
            };
            options.AddFixedWindowLimiter("twice", limiter =>
            {
                limiter.PermitLimit = 2;
                limiter.Window = TimeSpan.FromHours(1);
                limiter.QueueProcessingOrder = QueueProcessingOrder.OldestFirst;
            });
        });
    }

    internal static void UseSecurityBranches(this WebApplication app)
    {
        app.Map("/hsts", branch =>
        {
            branch.Use(next => context =>
            {
                context.Request.Scheme = "https";
                return next(context);
            });
            branch.UseHsts();
            branch.Run(context => context.Response.WriteAsync("strict"));
        });
    }

    internal static void MapSecurity(this WebApplication app)
    {
        app.MapGet("/login", (string? ReturnUrl) => $"Log in, please, for {ReturnUrl}");
        app.MapPost("/login", async (HttpContext context, string name, string role) =>
        {
            var identity = new ClaimsIdentity(CookieAuthenticationDefaults.AuthenticationScheme);
            identity.AddClaim(new Claim(ClaimTypes.Name, name));
            identity.AddClaim(new Claim(ClaimTypes.Role, role));
            await context.SignInAsync(new ClaimsPrincipal(identity));
            return $"welcome, {name}";
        });
        app.MapPost("/logout", (HttpContext context) => context.SignOutAsync());
        app.MapGet("/me", (ClaimsPrincipal user) => user.Identity!.Name).RequireAuthorization();
        app.MapGet("/kitchen", () => "hot").RequireAuthorization("chef");
        app.MapGet("/anonymous", (ClaimsPrincipal user) => $"{user.Identity?.IsAuthenticated} {user.Identity?.Name}");
        app.MapGet("/forbid", () => Results.Forbid());
        app.MapGet("/challenge", () => Results.Challenge());

        app.MapGet("/token", (HttpContext context, IAntiforgery antiforgery)
            => antiforgery.GetAndStoreTokens(context).RequestToken);
        app.MapPost("/guarded", async (HttpContext context, IAntiforgery antiforgery) =>
        {
            try
            {
                await antiforgery.ValidateRequestAsync(context);
                return Results.Text("valid");
            }
            catch (AntiforgeryValidationException)
            {
                return Results.BadRequest("invalid");
            }
        });

        app.MapGet("/cors", (HttpResponse response) =>
        {
            response.Headers["X-Seen"] = "yes";
            return "shared";
        });
        app.MapGet("/twice", () => "one of two").RequireRateLimiting("twice");
        app.MapGet("/visits", (HttpContext context) =>
        {
            var count = (context.Session.GetInt32("count") ?? 0) + 1;
            context.Session.SetInt32("count", count);
            return $"visit {count}";
        });
        app.MapGet("/cookies", (HttpContext context) =>
        {
            foreach (var (name, value) in context.Request.Cookies)
            {
                context.Response.Cookies.Append(name + "-back", value, new CookieOptions
                {
                    HttpOnly = true,
                    SameSite = SameSiteMode.Lax,
                    Path = "/cookies",
                });
            }

            context.Response.Cookies.Delete("gone");
            return $"{context.Request.Cookies.Count} cookies";
        });
    }

    /// <summary>Programs get a status, people a redirect.</summary>
    private static Task Redirect(RedirectContext<CookieAuthenticationOptions> context, int status)
    {
        if (context.Request.Headers.Accept == "application/json")
        {
            context.Response.StatusCode = status;
        }
        else
        {
            context.Response.Redirect(context.RedirectUri);
        }

        return Task.CompletedTask;
    }
}
